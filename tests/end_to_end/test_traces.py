"""Spans of real calls through real processes, as a collector gets them."""

import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from openai import AsyncOpenAI
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.support.caller import RATE_HZ, Caller
from tests.support.realtime_server import ApiSession, running_server
from tests.support.services import free_ports, running_stack
from tests.support.web import serving

pytestmark = pytest.mark.interop

KEY = f"sk-canary-{secrets.token_hex(8)}"
PROMPT = f"canary {secrets.token_hex(8)}"
CLIENTS = "0af7651916cd43dd8448eb211c80319c"
SECOND = bytes(48_000)
REPLY_S = 30
"""Nobody takes so long to interrupt it, or to hang up."""


class Collector:
    """What an OTLP endpoint has been sent, over HTTP."""

    def __init__(self) -> None:
        self.url = ""
        self.headers: list[dict[str, str]] = []
        self.bodies = b""
        self._spans: list[tuple[str, Span]] = []

    async def take(self, request: web.Request) -> web.Response:
        """Take a batch."""
        self.headers.append({k.lower(): v for k, v in request.headers.items()})
        self.bodies += await request.read()
        batch = ExportTraceServiceRequest.FromString(await request.read())
        for resource in batch.resource_spans:
            service = _plain(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self._spans += [(service, span) for span in scope.spans]
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(),
            content_type="application/x-protobuf",
        )

    def named(self, name: str) -> list[Span]:
        """Return the spans of one name."""
        return [span for _, span in self._spans if span.name == name]

    def fields(self, name: str) -> list[dict[str, Any]]:
        """Return their attributes."""
        return [_plain(span.attributes) for span in self.named(name)]

    def parents(self, of: Callable[[Span], bool]) -> dict[str, str | None]:
        """Return service and name of some spans, each with the name of its parent."""
        names = {span.span_id: span.name for _, span in self._spans}
        return {
            f"{service}: {span.name}": names.get(span.parent_span_id)
            for service, span in self._spans
            if of(span)
        }


def _plain(pairs: Any) -> dict[str, Any]:
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "")
        for pair in pairs
    }


@contextlib.asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """Run a collector on a free loopback port."""
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.take)
    async with serving(app) as address:
        collector.url = f"http://{address}"
        yield collector


async def converse(caller: Caller, api: ApiSession) -> None:
    """Hold two turns: one interrupted, one still being heard at the end."""
    await api.heard_bytes(1)  # before it speaks itself
    await api.send("input_audio_buffer.speech_stopped", item_id="item_user")
    await api.begin_response()
    await api.say(REPLY_S * SECOND)
    await caller.wait_for("output_audio_buffer.started")
    enough = len(caller.heard) + RATE_HZ
    await caller.wait_until(lambda: len(caller.heard) > enough, "1 s of the answer")
    await api.interrupt()
    await caller.wait_for("output_audio_buffer.cleared")
    await api.send("input_audio_buffer.speech_stopped", item_id="item_user")
    await api.reply(REPLY_S * SECOND)
    await caller.wait_for("output_audio_buffer.started", 2)
    await api.send("response.output_audio_transcript.delta", delta=PROMPT)
    await api.send("response.function_call_arguments.done", name="f", arguments=PROMPT)
    await caller.wait_for("response.function_call_arguments.done")


@pytest.mark.asyncio
async def test_a_call_is_one_trace_at_the_collector() -> None:
    async with (
        collecting() as collector,
        running_server() as server,
        running_stack(
            server.url,
            TANDEM_UPSTREAM_KEY=server.key,
            TANDEM_LOG_FORMAT="json",
            TANDEM_API_KEYS=KEY,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_EXPORTER_OTLP_HEADERS="x-collector-key=abc",
            OTEL_RESOURCE_ATTRIBUTES="cloud.region=eu-west",
        ) as stack,
    ):
        caller = Caller()
        headers = {
            "Authorization": f"Bearer {KEY}",
            "traceparent": f"00-{CLIENTS}-b7ad6b7169203331-01",
        }
        await caller.dial(stack.url, headers, {"instructions": PROMPT})
        await converse(caller, await server.next_session())
        await caller.close()
    assert collector.parents(lambda span: True) == {
        "tandem-transceiver: call": None,
        "tandem-transceiver: offer": "call",
        "tandem-transceiver: ice": "call",
        "tandem-transceiver: dtls": "call",
        "tandem-transceiver: session": "call",
        "tandem-relay: relay session": "call",
        "tandem-relay: upstream connect": "relay session",
        "tandem-relay: turn": "relay session",
        "tandem-relay: wait": "turn",
    }
    names = [span.name for service, span in collector._spans]
    assert (names.count("turn"), names.count("wait"), len(names)) == (2, 2, 11)
    assert {span.trace_id.hex() for _, span in collector._spans} == {CLIENTS}
    assert {headers["x-collector-key"] for headers in collector.headers} == {"abc"}
    (call,), (fields,) = collector.named("call"), collector.fields("call")
    call_id = caller.location.rpartition("/")[2]
    assert fields["tandem.call.id"] == call_id
    assert fields["tandem.close.code"] == "normal"
    assert [event.name for event in call.events] == [
        "first audio up",
        "first audio down",
    ]
    interrupted, last = collector.fields("turn")
    assert interrupted["tandem.turn.interrupted"]
    assert 900 < interrupted["tandem.turn.heard_ms"] < 1000 * REPLY_S
    assert last["tandem.turn.answered"]
    assert last["tandem.turn.tool_calls"] == 1
    for canary in (KEY, PROMPT, server.key, stack.environ["TANDEM_LINK_KEY"]):
        assert canary.encode() not in collector.bodies
    lines = [json.loads(line) for line in stack.transceiver.log.splitlines()]
    assert call_id in {line.get("call") for line in lines}


@pytest.mark.asyncio
async def test_a_websocket_session_is_a_trace_too() -> None:
    async with (
        collecting() as collector,
        running_server() as server,
        running_stack(
            server.url,
            TANDEM_UPSTREAM_KEY=server.key,
            TANDEM_WORKERS="2",
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/v1/traces",
            OTEL_SERVICE_NAME="voice",
        ) as stack,
    ):
        client = AsyncOpenAI(base_url=f"{stack.url}/v1", api_key="any")
        async with client.realtime.connect(model="m") as connection:
            assert (await connection.recv()).type == "session.created"
        await client.close()
    assert collector.parents(lambda span: True) == {
        "voice: call": None,
        "voice: session": "call",
        "voice: relay session": "call",
        "voice: upstream connect": "relay session",
    }
    assert collector.fields("call")[0]["tandem.transport"] == "websocket"


@pytest.mark.asyncio
async def test_a_collector_that_is_away_costs_no_call() -> None:
    (nobody,) = free_ports(1)
    async with running_stack(
        "echo", OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{nobody}"
    ) as stack:
        caller = Caller()
        await caller.dial(stack.url)
        await caller.wait_for("session.created")
        await caller.close()
    for process in stack.processes:
        assert "spans dropped" in process.log


@pytest.mark.asyncio
async def test_an_upstream_that_refuses_is_a_failed_session() -> None:
    async with (
        collecting() as collector,
        running_server() as server,
        running_stack(
            server.url,
            TANDEM_UPSTREAM_KEY="sk-wrong",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        ) as stack,
    ):
        caller = Caller()
        await caller.dial(stack.url)
        await caller.wait_for("error")
        await caller.close()
    for name in ("relay session", "upstream connect"):
        (span,) = collector.named(name)
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert span.status.message == "upstream_unauthorized"
