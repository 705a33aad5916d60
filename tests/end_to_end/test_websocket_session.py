"""WebSocket sessions: a tunnel to a relay, and the relay to a scripted Realtime API."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from proto.request import SessionRequest
from tests.support.realtime_server import ApiSession, RealtimeServer, running_server
from tests.support.relays import Ways, running_relay
from tests.support.services import free_ports
from tests.support.waiting import LIMIT_S
from transceiver.tunnel import Closed, Refusal, Tunnel


class Client:
    """The edge's end of one WebSocket session."""

    def __init__(self, tunnel: Tunnel) -> None:
        self.tunnel = tunnel
        self.events: list[dict[str, Any]] = []

    async def send(self, type_: str, **fields: Any) -> None:
        await self.tunnel.send(orjson.dumps({"type": type_, **fields}))

    async def event(self, type_: str) -> dict[str, Any]:
        """Return the next event of a type; what comes before is kept in `events`."""
        while True:
            received = await self.next()
            assert isinstance(received, dict), received
            if received["type"] == type_:
                return received

    async def next(self) -> dict[str, Any] | Closed:
        async with asyncio.timeout(LIMIT_S):
            received = await self.tunnel.receive()
        if isinstance(received, Closed):
            return received
        event: dict[str, Any] = orjson.loads(received)
        self.events.append(event)
        return event

    async def end(self) -> Closed:
        """Return how the session was closed."""
        while True:
            received = await self.next()
            if isinstance(received, Closed):
                return received


@contextlib.asynccontextmanager
async def conversing(ways: Ways, **wishes: Any) -> AsyncIterator[Client]:
    request = SessionRequest(call_id="sess_1", tenant="t", **wishes)
    client = Client(await ways.tunnels.converse(request))
    try:
        yield client
    finally:
        await client.tunnel.close(1000, "")


@contextlib.asynccontextmanager
async def running_pair() -> AsyncIterator[tuple[RealtimeServer, Ways]]:
    async with running_server() as server, running_relay(server.url) as ways:
        yield server, ways


@contextlib.asynccontextmanager
async def running_session(
    **wishes: Any,
) -> AsyncIterator[tuple[Client, ApiSession]]:
    """Run everything, up to a session that has been announced."""
    async with (
        running_pair() as (server, ways),
        conversing(ways, **wishes) as client,
    ):
        api = await server.next_session()
        await client.event("session.created")
        yield client, api


@pytest.mark.asyncio
async def test_the_model_is_asked_for_and_nothing_is_set_for_the_client() -> None:
    async with running_session(model="gpt-other") as (client, api):
        assert api.query == {"model": "gpt-other"}
        await client.send("some.event")
        await api.received("some.event")
        assert api.types == ["some.event"]
        assert client.events[0]["session"] == {"type": "realtime"}


@pytest.mark.asyncio
async def test_a_session_that_the_request_brings_is_in_force_when_told() -> None:
    session = {"type": "realtime", "instructions": "Be brief."}
    async with running_session(session=session) as (client, api):
        update = await api.received("session.update")
        assert update["session"] == session
        assert client.events[0]["session"] == session
        await client.send("bad.event", event_id="mine")
        error = await client.event("error")
        assert error["error"]["event_id"] == "mine"
        assert [event["type"] for event in client.events] == [
            "session.created",
            "error",
        ]


@pytest.mark.asyncio
async def test_a_transcription_is_asked_for_by_its_intent() -> None:
    async with running_session(session={"type": "transcription"}) as (_, api):
        assert api.query == {"intent": "transcription"}
        assert api.types == []


@pytest.mark.asyncio
async def test_what_is_sent_before_the_upstream_is_open_arrives_in_order() -> None:
    async with running_pair() as (server, ways):
        server.answers_after_s = 0.3
        async with conversing(ways) as client:
            for number in range(1500):
                await client.send("some.event", number=number)
            api = await server.next_session()
            await client.send("last.event")
            await api.received("last.event")
            numbers = [event["number"] for event in api.events[:-1]]
            assert numbers == list(range(1500))


@pytest.mark.asyncio
async def test_audio_passes_as_the_client_writes_it_and_unpaced() -> None:
    async with running_session() as (client, api):
        await client.send("input_audio_buffer.append", audio="AAECAw==")
        await api.heard_bytes(4)
        assert bytes(api.heard) == b"\0\1\2\3"
        await api.reply(bytes(480_000))  # ten seconds
        await client.event("response.done")
        deltas = [e for e in client.events if e["type"].endswith("output_audio.delta")]
        assert sum(len(event["delta"]) for event in deltas) == 640_000
        assert "conversation.item.truncate" not in api.types


@pytest.mark.asyncio
async def test_unknown_events_and_fields_pass_both_ways() -> None:
    async with running_session() as (client, api):
        await client.send("some.future_event", event_id="mine", x=[1, {"y": None}])
        event = await api.received("some.future_event")
        assert event == {
            "type": "some.future_event",
            "event_id": "mine",
            "x": [1, {"y": None}],
        }
        await api.send("another.future_event", z={"deep": [1.5]})
        assert (await client.event("another.future_event"))["z"] == {"deep": [1.5]}


@pytest.mark.parametrize(
    ("status", "code", "close_code"),
    [
        (401, "upstream_unauthorized", 1011),
        (403, "upstream_forbidden", 1011),
        (404, "upstream_not_found", 1011),
        (429, "upstream_rate_limited", 1013),
        (500, "upstream_unavailable", 1011),
        (503, "upstream_unavailable", 1013),
    ],
)
@pytest.mark.asyncio
async def test_a_refused_handshake_is_told_and_closes_fittingly(
    status: int, code: str, close_code: int
) -> None:
    async with running_pair() as (server, ways):
        server.refuse_with = status
        async with conversing(ways) as client:
            error = (await client.event("error"))["error"]
            assert (error["type"], error["code"]) == ("server_error", code)
            assert str(status) in error["message"]
            assert ("Retry after 7 s" in error["message"]) is (status == 429)
            assert await client.end() == Closed(close_code, error["message"])


@pytest.mark.asyncio
async def test_a_wrong_key_of_the_relays_is_told_without_the_key() -> None:
    async with (
        running_server() as server,
        running_relay(server.url, key="sk-wrong") as ways,
        conversing(ways) as client,
    ):
        error = await client.event("error")
        assert error["error"]["code"] == "upstream_unauthorized"
        assert (await client.end()).code == 1011
        assert "sk-wrong" not in str(client.events)


@pytest.mark.asyncio
async def test_a_key_refused_after_the_handshake_does_not_look_like_the_clients() -> (
    None
):
    async with running_session() as (client, api):
        body = {"code": "invalid_api_key", "message": "Incorrect API key: ...ight"}
        await api.send("error", error=body)
        reason = b"invalid_request_error.invalid_api_key"
        await api.socket.close(code=3000, message=reason)
        error = await client.event("error")
        assert error["error"]["code"] == "upstream_unauthorized"
        end = await client.end()
        assert end.code == 1011
        assert "invalid_api_key" not in end.reason
        assert "...ight" not in str(client.events)


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (1000, "", 1011),
        (1001, "session_expired", 1011),
        (4000, "invalid_request_error.model_not_found", 4000),
    ],
)
@pytest.mark.asyncio
async def test_an_upstream_that_closes_is_told(
    code: int, reason: str, expected: int
) -> None:
    async with running_session() as (client, api):
        await api.socket.close(code=code, message=reason.encode())
        error = (await client.event("error"))["error"]
        assert error["code"] == "upstream_lost"
        assert str(code) in error["message"]
        end = await client.end()
        assert end.code == expected
        if expected == code:
            assert end.reason == reason


@pytest.mark.asyncio
async def test_an_upstream_that_is_not_there_is_told() -> None:
    (port,) = free_ports(1)
    async with (
        running_relay(f"ws://127.0.0.1:{port}/v1/realtime") as ways,
        conversing(ways) as client,
    ):
        error = await client.event("error")
        assert error["error"]["code"] == "upstream_unavailable"
        assert (await client.end()).code == 1011


@pytest.mark.asyncio
async def test_an_oversized_message_is_told() -> None:
    async with running_session() as (client, api):
        with contextlib.suppress(ConnectionError):
            await api.send("conversation.item.retrieved", item="x" * (17 * 2**20))
        error = await client.event("error")
        assert error["error"]["code"] == "upstream_message_too_large"


@pytest.mark.asyncio
async def test_a_rate_limit_of_the_upstreams_is_the_clients_business() -> None:
    async with running_session() as (client, api):
        body = {"type": "rate_limit_error", "code": "rate_limit_exceeded"}
        await api.send("error", error=body)
        assert (await client.event("error"))["error"] == body
        await client.send("some.event")
        await api.received("some.event")


@pytest.mark.asyncio
async def test_a_client_that_leaves_frees_its_upstream() -> None:
    async with running_session() as (client, api):
        await client.tunnel.close(1000, "")
        async with asyncio.timeout(LIMIT_S):
            await api.gone.wait()


@pytest.mark.asyncio
async def test_a_relay_that_stops_closes_its_clients_with_going_away() -> None:
    async with running_server() as server, asyncio.TaskGroup() as tasks:
        async with running_relay(server.url) as ways:
            request = SessionRequest(call_id="sess_1", tenant="t")
            client = Client(await ways.tunnels.converse(request))
            await client.event("session.created")
            ending = tasks.create_task(client.end())
        assert (await ending).code == 1001


@pytest.mark.asyncio
async def test_a_session_whose_time_is_up_is_told_and_closed() -> None:
    async with (
        running_server() as server,
        running_relay(server.url, TANDEM_MAX_CALL_S="1") as ways,
        conversing(ways) as client,
    ):
        error = (await client.event("error"))["error"]
        assert error["code"] == "session_expired"
        assert await client.end() == Closed(1001, error["message"])


@pytest.mark.asyncio
async def test_a_call_that_is_not_there_cannot_be_controlled() -> None:
    async with running_relay("echo") as ways:
        for asking in (
            ways.tunnels.describe("rtc_1", "t"),
            ways.tunnels.hang_up("rtc_1", "t"),
            ways.tunnels.attach("rtc_1", "t", False),
        ):
            with pytest.raises(Refusal) as refusal:
                await asking
            assert (refusal.value.status, refusal.value.code) == (404, "call_not_found")
