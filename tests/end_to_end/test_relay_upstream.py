"""The relay between a real link and a scripted Realtime API, over loopback sockets."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from proto.errors import CloseCode
from proto.frames import DownFrame, UpFrame
from proto.udp import Dialer, LinkSession
from relay.service import serve
from relay.settings import RelaySettings
from runtime import settings as environment
from runtime.stop import Stop
from tests.support.realtime_server import RealtimeServer, running_server
from tests.support.relays import running_relay
from tests.support.services import free_ports
from tests.support.waiting import LIMIT_S

SECOND = bytes(range(1, 241)) * 200


class Edge:
    """The transceiver's end of one session; plays nothing, hears at once."""

    def __init__(self) -> None:
        self.session: LinkSession | None = None
        self.events: list[dict[str, Any]] = []
        self.frames: list[DownFrame] = []
        self.flushes: list[int] = []
        self.heard_samples = 0
        self.end: tuple[CloseCode, str] | None = None
        self._changed = asyncio.Event()

    def opened(self) -> None:
        self._changed.set()

    def event_received(self, payload: bytes) -> None:
        self.events.append(orjson.loads(payload))
        self._changed.set()

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        assert isinstance(frame, DownFrame)
        self.frames.append(frame)
        self._changed.set()

    def frames_lost(self, count: int) -> None:
        raise AssertionError(f"{count} frames lost on loopback")

    def flush_requested(self, talkspurt: int) -> None:
        self.flushes.append(talkspurt)
        assert self.session is not None
        self.session.flushed(talkspurt, self.heard_samples)

    def flush_done(self, talkspurt: int, heard_samples: int) -> None:
        raise AssertionError("the edge asks for no flush")

    def closed(self, code: CloseCode, reason: str) -> None:
        self.end = (code, reason)
        self._changed.set()

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def event(self, type_: str) -> dict[str, Any]:
        await self.until(lambda: type_ in self.types)
        return next(event for event in self.events if event["type"] == type_)

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    def send_event(self, type_: str, **fields: Any) -> None:
        assert self.session is not None
        self.session.send_event(orjson.dumps({"type": type_, **fields}))


@contextlib.asynccontextmanager
async def running_pair() -> AsyncIterator[tuple[RealtimeServer, Dialer]]:
    async with running_server() as server, running_relay(server.url) as ways:
        yield server, ways.dialer


def call(dialer: Dialer, **request: Any) -> Edge:
    edge = Edge()
    wishes = {"call_id": "rtc_1", "model": None, "session": None, "tenant": "t"}
    edge.session = dialer.open_session(orjson.dumps(wishes | request), edge)
    return edge


@pytest.mark.asyncio
async def test_a_session_is_opened_with_the_clients_wishes_and_the_relays_formats() -> (
    None
):
    async with running_pair() as (server, dialer):
        session = {"instructions": "Be brief.", "audio": {"output": {"voice": "x"}}}
        edge = call(dialer, model="gpt-other", session=session)
        api = await server.next_session()
        update = await api.received("session.update")
        pcm = {"type": "audio/pcm", "rate": 24_000}
        assert api.query == {"model": "gpt-other"}
        assert update["session"] == {
            "type": "realtime",
            "instructions": "Be brief.",
            "audio": {
                "input": {"format": pcm, "turn_detection": {"type": "server_vad"}},
                "output": {"format": pcm, "voice": "x"},
            },
        }
        created = await edge.event("session.created")
        assert created["event_id"] == "event_1"
        assert created["session"] == update["session"]
        assert edge.types == ["session.created"]


@pytest.mark.asyncio
async def test_an_update_sent_early_gets_an_answer_of_its_own() -> None:
    async with running_pair() as (_, dialer):
        edge = call(dialer, session={"instructions": "One."})
        edge.send_event("session.update", session={"instructions": "Two."})
        updated = await edge.event("session.updated")
        assert updated["session"]["instructions"] == "Two."
        assert edge.events[0]["session"]["instructions"] == "One."
        assert edge.types == ["session.created", "session.updated"]


@pytest.mark.asyncio
async def test_wishes_that_the_upstream_refuses_leave_session_created_as_it_was() -> (
    None
):
    async with running_pair() as (server, dialer):
        server.refuse_updates = True
        edge = call(dialer, session={"instructions": "x"})
        error = await edge.event("error")
        assert error["error"]["code"] == "invalid_value"
        assert edge.types == ["session.created", "error"]
        assert edge.events[0]["session"] == {"type": "realtime"}


@pytest.mark.asyncio
async def test_more_sessions_than_a_connection_pool_holds_reach_the_upstream() -> None:
    async with running_pair() as (server, dialer):
        edges = [call(dialer) for _ in range(101)]
        for _ in edges:
            await server.next_session()


@pytest.mark.asyncio
async def test_the_callers_audio_reaches_the_upstream_with_its_gaps_filled() -> None:
    async with running_pair() as (server, dialer):
        edge = call(dialer)
        api = await server.next_session()
        await edge.event("session.created")
        assert edge.session is not None
        for position in (0, 480, 1440):
            edge.session.send_up(UpFrame(position, 0, 0, b"\1\0" * 480))
        await api.heard_bytes(4 * 960)
        speech = b"\1\0" * 480
        assert bytes(api.heard) == speech * 2 + bytes(960) + speech


@pytest.mark.asyncio
async def test_a_reply_is_heard_whole_and_its_playback_is_told() -> None:
    async with running_pair() as (server, dialer):
        edge = call(dialer)
        api = await server.next_session()
        await api.reply(SECOND)
        await edge.event("response.done")
        await edge.until(lambda: len(edge.frames) == 50)
        assert b"".join(frame.payload for frame in edge.frames) == SECOND
        assert {frame.talkspurt for frame in edge.frames} == {1}
        assert "response.output_audio.delta" not in edge.types
        assert "response.output_audio.done" in edge.types
        assert edge.session is not None
        edge.session.send_up(UpFrame(0, 1, 24_000, bytes(960)))
        stopped = await edge.event("output_audio_buffer.stopped")
        started = await edge.event("output_audio_buffer.started")
        assert stopped["response_id"] == started["response_id"]


@pytest.mark.asyncio
async def test_a_barge_in_truncates_the_item_at_what_was_heard() -> None:
    async with running_pair() as (server, dialer):
        edge = call(dialer)
        api = await server.next_session()
        await api.begin_response()
        item_id = await api.say(SECOND * 10)
        await edge.event("output_audio_buffer.started")
        await edge.event("response.output_audio.done")  # the relay has all of it
        edge.heard_samples = 2400
        await api.interrupt()
        truncate = await api.received("conversation.item.truncate")
        assert (truncate["item_id"], truncate["audio_end_ms"]) == (item_id, 100)
        await edge.event("conversation.item.truncated")
        await edge.event("output_audio_buffer.cleared")
        assert edge.flushes == [1]
        assert len(edge.frames) < 500  # of ten seconds
        assert "response.cancel" not in api.types
        assert "error" not in edge.types


@pytest.mark.asyncio
async def test_clear_silences_cancels_and_hides_the_relays_own_errors() -> None:
    async with running_pair() as (server, dialer):
        edge = call(dialer)
        api = await server.next_session()
        await api.begin_response()
        await api.say(SECOND * 10)
        await edge.event("output_audio_buffer.started")
        await edge.event("response.output_audio.done")
        edge.send_event("response.cancel")
        edge.send_event("output_audio_buffer.clear")
        await edge.event("output_audio_buffer.cleared")
        await edge.event("conversation.item.deleted")
        assert api.types.count("response.cancel") == 2
        assert "error" not in edge.types


@pytest.mark.asyncio
async def test_events_pass_both_ways_as_they_are() -> None:
    async with running_pair() as (server, dialer):
        edge = call(dialer)
        api = await server.next_session()
        edge.send_event("some.future.event", event_id="mine", x=[1])
        event = await api.received("some.future.event")
        assert event == {"type": "some.future.event", "event_id": "mine", "x": [1]}
        edge.send_event("bad.event", event_id="mine_2")
        error = await edge.event("error")
        assert error["error"]["event_id"] == "mine_2"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "upstream_unauthorized"),
        (403, "upstream_forbidden"),
        (404, "upstream_not_found"),
        (429, "upstream_rate_limited"),
        (503, "upstream_unavailable"),
    ],
)
@pytest.mark.asyncio
async def test_a_refused_handshake_is_told_and_ends_the_session(
    status: int, code: str
) -> None:
    async with running_pair() as (server, dialer):
        server.refuse_with = status
        edge = call(dialer)
        error = (await edge.event("error"))["error"]
        assert (error["type"], error["code"]) == ("server_error", code)
        assert str(status) in error["message"]
        assert ("Retry after 7 s" in error["message"]) is (status == 429)
        await edge.until(lambda: edge.end)
        assert edge.end == (CloseCode.REFUSED_UPSTREAM, error["message"])


@pytest.mark.asyncio
async def test_a_wrong_key_is_told_without_the_key() -> None:
    async with (
        running_server() as server,
        running_relay(server.url, key="sk-wrong") as ways,
    ):
        edge = call(ways.dialer)
        error = await edge.event("error")
        assert error["error"]["code"] == "upstream_unauthorized"
        assert "sk-wrong" not in str(edge.events)


@pytest.mark.asyncio
async def test_a_key_refused_after_the_handshake_is_told_without_the_key() -> None:
    async with running_pair() as (server, dialer):
        edge = call(dialer)
        api = await server.next_session()
        body = {"code": "invalid_api_key", "message": "Incorrect API key: ...ight"}
        await api.send("error", error=body)
        reason = b"invalid_request_error.invalid_api_key"
        await api.socket.close(code=3000, message=reason)
        error = await edge.event("error")
        assert error["error"]["code"] == "upstream_unauthorized"
        assert "...ight" not in str(edge.events)
        await edge.until(lambda: edge.end)
        assert edge.end is not None
        assert edge.end[0] is CloseCode.REFUSED_UPSTREAM


@pytest.mark.asyncio
async def test_an_upstream_that_is_not_there_is_told() -> None:
    (port,) = free_ports(1)
    async with running_relay(f"ws://127.0.0.1:{port}/v1/realtime") as ways:
        edge = call(ways.dialer)
        error = await edge.event("error")
        assert error["error"]["code"] == "upstream_unavailable"
        await edge.until(lambda: edge.end)


@pytest.mark.asyncio
async def test_an_upstream_that_closes_is_told() -> None:
    async with running_pair() as (server, dialer):
        edge = call(dialer)
        api = await server.next_session()
        await api.socket.close(code=1001, message=b"session_expired")
        error = (await edge.event("error"))["error"]
        assert error["code"] == "upstream_lost"
        assert "(1001). It says: session_expired" in error["message"]
        await edge.until(lambda: edge.end)
        assert edge.end is not None
        assert edge.end[0] is CloseCode.UPSTREAM_LOST


@pytest.mark.asyncio
async def test_an_oversized_message_is_told() -> None:
    async with running_pair() as (server, dialer):
        edge = call(dialer)
        api = await server.next_session()
        with contextlib.suppress(ConnectionError):
            await api.send("conversation.item.retrieved", item="x" * (17 * 2**20))
        error = (await edge.event("error"))["error"]
        assert error["code"] == "upstream_message_too_large"


@pytest.mark.asyncio
async def test_a_session_that_the_edge_ends_leaves_its_upstream() -> None:
    async with running_pair() as (server, dialer):
        edge = call(dialer)
        api = await server.next_session()
        await edge.event("session.created")
        assert edge.session is not None
        edge.session.close()
        async with asyncio.timeout(LIMIT_S):
            await api.gone.wait()


@pytest.mark.asyncio
async def test_a_relay_that_stops_tells_its_sessions() -> None:
    async with running_server() as server:
        async with running_relay(server.url) as ways:
            edge = call(ways.dialer)
            await server.next_session()
            await edge.event("session.created")
        assert edge.end is not None
        assert edge.end[0] is CloseCode.DRAINING


@pytest.mark.asyncio
async def test_a_request_that_cannot_be_read_is_refused() -> None:
    async with running_pair() as (_, dialer):
        edge = Edge()
        edge.session = dialer.open_session(b"[]", edge)
        await edge.until(lambda: edge.end)
        assert edge.end is not None
        assert edge.end[0] is CloseCode.PROTOCOL


@pytest.mark.asyncio
async def test_echo_returns_the_callers_own_audio_at_once() -> None:
    async with running_relay("echo") as ways:
        edge = call(ways.dialer)
        created = await edge.event("session.created")
        assert created["session"]["type"] == "realtime"
        edge.send_event("session.update", session={"type": "realtime"})
        await edge.event("session.updated")
        assert edge.session is not None
        for index in range(10):
            pcm = bytes([index, 1]) * 480
            edge.session.send_up(UpFrame(480 * index, 0, 0, pcm))
        await edge.until(lambda: len(edge.frames) == 10)
        assert [frame.payload[0] for frame in edge.frames] == list(range(10))
        assert {frame.lead_ms for frame in edge.frames} == {0}


@pytest.mark.asyncio
async def test_the_builtin_upstream_is_ready_only_when_its_engine_is() -> None:
    (engine_port, link_port, http_port) = free_ports(3)
    settings = environment.load(
        RelaySettings,
        {
            "TANDEM_LINK_PORT": str(link_port),
            "TANDEM_RELAY_HTTP_PORT": str(http_port),
            "TANDEM_LINK_KEY": base64.b64encode(bytes(32)).decode(),
            "TANDEM_ENGINE_PORT": str(engine_port),
        },
    )
    stop = Stop()
    async with asyncio.TaskGroup() as tasks, aiohttp.ClientSession() as http:
        tasks.create_task(serve(settings, stop))
        try:
            async with asyncio.timeout(LIMIT_S):
                status, body = await ask_ready(http, http_port)
            assert status == 503
            assert f"127.0.0.1:{engine_port}" in body["reason"]
            async with http.get(f"http://127.0.0.1:{http_port}/metrics") as answer:
                assert (
                    'tandem_relay_sessions{transport="webrtc"} 0.0'
                    in await answer.text()
                )
        finally:
            stop.set()


async def ask_ready(
    http: aiohttp.ClientSession, port: int
) -> tuple[int, dict[str, Any]]:
    while True:
        with contextlib.suppress(aiohttp.ClientConnectionError):
            async with http.get(f"http://127.0.0.1:{port}/readyz") as answer:
                body = await answer.json()
                if "engine" in body.get("reason", "") or answer.ok:
                    return answer.status, body
        await asyncio.sleep(0.02)
