"""One WebSocket client's session, between a remembering client and upstream."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import orjson
import pytest

from proto.errors import CloseCode
from proto.request import SessionRequest
from relay.client.intake import FLOOD_REASON
from relay.client.limits import EVENTS_BURST
from relay.direct import DirectSession
from relay.upstream.echo import Echo
from relay.upstream.port import UpstreamError, UpstreamLost, UpstreamRefused
from relay.upstream.protocol import LOCK_ID
from tests.relay.fakes import FakeClient, FakeUpstream
from tests.support import clock as virtual
from tests.support.freeing import still_held

MAX_S = 3600.0


@dataclass
class Stage:
    client: FakeClient
    upstream: FakeUpstream
    session: DirectSession


def play(
    scene: Callable[[Stage], Awaitable[None]], max_s: float = MAX_S, **wishes: Any
) -> Stage:
    """Run a session in virtual time while the scene plays; then the client leaves."""

    async def main() -> Stage:
        client, upstream = FakeClient(), FakeUpstream()
        request = SessionRequest(call_id="sess_1", tenant="t", **wishes)
        session = DirectSession(request, upstream, max_s)
        stage = Stage(client, upstream, session)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.run(client))
            await asyncio.sleep(0.001)
            await scene(stage)
            client.leaves()
        assert upstream.was_cancelled or upstream.failure
        return stage

    return virtual.run(main())


def test_unknown_events_and_fields_pass_both_ways_byte_for_byte() -> None:
    up = b'{ "type":"some.future_event", "x":{"y":[1.50, null]}, "event_id":"e"}'
    down = b'{"type":"another.one",  "deep":[{"z":1e3}]}'

    async def scene(stage: Stage) -> None:
        stage.client.says_raw(up)
        stage.upstream.say_raw(down)
        await asyncio.sleep(0.01)
        assert stage.upstream.sent == [up]
        assert stage.client.raw_events == [down]

    play(scene)


@pytest.mark.parametrize(
    "message",
    [
        b'{"type":"response.created" }',
        b'{"type":"session.created" }',
        b'{"type":"response.output_audio.delta","delta":"not base64"}',
    ],
)
def test_what_the_relay_does_not_need_of_an_event_may_be_missing(
    message: bytes,
) -> None:
    async def scene(stage: Stage) -> None:
        stage.upstream.say_raw(message)
        assert stage.client.raw_events == [message]

    play(scene)


def test_audio_passes_both_ways_in_the_formats_that_the_client_asks_for() -> None:
    law = {"format": {"type": "audio/pcmu"}}
    update = {"session": {"audio": {"input": law, "output": law}}}

    async def scene(stage: Stage) -> None:
        stage.client.says("session.update", **update)
        stage.client.says("input_audio_buffer.append", audio="AAEC")
        stage.upstream.say("response.output_audio.delta", delta="AAEC", item_id="i")
        await asyncio.sleep(0.01)
        sent = [orjson.loads(payload) for payload in stage.upstream.sent]
        assert sent[0] == {"type": "session.update", **update}
        assert sent[1]["audio"] == "AAEC"
        assert stage.client.events[0]["delta"] == "AAEC"

    play(scene)


def test_a_client_without_wishes_gets_the_servers_own_announcement() -> None:
    async def scene(stage: Stage) -> None:
        assert stage.upstream.sent == []
        stage.upstream.say("session.created", session={"voice": "alloy"})
        assert stage.client.types == ["session.created"]

    play(scene)
    play(scene, session={"type": "realtime", "model": "m"})


def test_a_client_whose_request_brought_a_session_is_told_once_what_holds() -> None:
    async def scene(stage: Stage) -> None:
        update = orjson.loads(stage.upstream.sent[0])
        assert update["session"] == {"type": "realtime", "instructions": "x"}
        stage.upstream.say("session.created", session={"id": "s", "voice": "alloy"})
        assert stage.client.events == []
        stage.upstream.say("session.updated", session={"instructions": "x"})
        session = {"id": "s", "voice": "alloy", "instructions": "x"}
        assert stage.client.events == [{"type": "session.created", "session": session}]

    play(scene, session={"instructions": "x"})


def test_a_client_is_made_to_wait_while_the_upstream_is_full() -> None:
    async def scene(stage: Stage) -> None:
        stage.upstream.is_full = True
        for number in range(1500):
            stage.client.says("some.event", number=number)
        await asyncio.sleep(60)
        assert stage.upstream.sent == []
        stage.upstream.is_full = False
        stage.upstream.made_room.set()
        await asyncio.sleep(60)
        numbers = [orjson.loads(payload)["number"] for payload in stage.upstream.sent]
        assert numbers == list(range(1500))

    stage = play(scene)
    assert stage.session.life.code is CloseCode.NORMAL


def test_what_is_locked_the_client_cannot_change() -> None:
    async def scene(stage: Stage) -> None:
        stage.client.says("session.update", session={"instructions": "mine"})
        await asyncio.sleep(0.01)
        sent = orjson.loads(stage.upstream.sent[-1])
        assert sent["session"] == {"instructions": "the server's"}

    play(scene, bound={"instructions": "the server's"})


@pytest.mark.parametrize("caused_by", [LOCK_ID, None])
def test_an_upstream_that_refuses_what_is_locked_gets_no_session(
    caused_by: str | None,
) -> None:
    async def scene(stage: Stage) -> None:
        stage.upstream.say("session.created", session={"instructions": "default"})
        stage.upstream.say("error", error={"code": "bad", "event_id": caused_by})
        await asyncio.sleep(0.01)
        stage.upstream.say("response.created", response={"id": "r"})
        error = stage.client.events[-1]["error"]
        assert error["code"] == "locked_session_refused"
        assert "response.created" not in stage.client.types
        assert stage.client.closes[0][0] == 1011

    play(scene, bound={"type": "realtime", "instructions": "the server's"})


def test_a_refused_wish_leaves_what_is_locked_in_force() -> None:
    async def scene(stage: Stage) -> None:
        stage.upstream.say("session.created", session={"instructions": "default"})
        stage.upstream.say("session.updated", session={"instructions": "locked"})
        stage.upstream.say("error", error={"code": "unknown_parameter"})
        created, error = stage.client.events
        assert created["session"]["instructions"] == "locked"
        assert error["error"]["code"] == "unknown_parameter"
        assert stage.client.closes == []

    play(scene, session={"unknown": 1}, bound={"type": "realtime"})


def test_a_refused_event_is_answered_with_its_id_and_goes_no_further() -> None:
    async def scene(stage: Stage) -> None:
        stage.client.says("output_audio_buffer.clear", event_id="mine")
        stage.client.says_raw(b"[]")
        await asyncio.sleep(0.01)
        first, second = (event["error"] for event in stage.client.events)
        assert (first["code"], first["event_id"]) == ("unsupported_event", "mine")
        assert second["code"] == "invalid_json"
        assert stage.upstream.sent == []

    stage = play(scene)
    assert stage.session.traffic.events_refused == 2
    assert stage.session.traffic.events_up == 2


def test_a_client_that_sends_nothing_but_nonsense_is_let_go() -> None:
    async def scene(stage: Stage) -> None:
        for _ in range(EVENTS_BURST + 1):
            stage.client.says_raw(b"[]")
        await asyncio.sleep(0.01)
        assert stage.client.closes == [(1008, FLOOD_REASON)]

    stage = play(scene)
    assert stage.session.life.code is CloseCode.PROTOCOL


def test_an_error_about_the_relays_key_does_not_reach_the_client() -> None:
    async def scene(stage: Stage) -> None:
        stage.upstream.say("error", error={"code": "invalid_api_key"})
        stage.upstream.say("error", error={"code": "x", "event_id": "mine"})
        assert [event["error"]["code"] for event in stage.client.events] == ["x"]

    play(scene)


def test_beta_is_spoken_with_a_client_that_speaks_it() -> None:
    async def scene(stage: Stage) -> None:
        stage.client.says("session.update", session={"voice": "marin"})
        stage.upstream.say("response.output_audio.delta", delta="AAEC", item_id="i")
        await asyncio.sleep(0.01)
        session = orjson.loads(stage.upstream.sent[0])["session"]
        assert session == {"type": "realtime", "audio": {"output": {"voice": "marin"}}}
        assert stage.client.types == ["response.audio.delta"]

    play(scene, speaks_beta=True)


def closed_by_the_service() -> UpstreamLost:
    lost = UpstreamLost("upstream_lost", "The service closed (4000).")
    lost.close_code, lost.close_reason = 4000, "model_not_found"
    return lost


def busy() -> UpstreamRefused:
    refused = UpstreamRefused("upstream_rate_limited", "Full.")
    refused.close_code = 1013
    return refused


@pytest.mark.parametrize(
    ("failure", "close", "code"),
    [
        (UpstreamRefused("no_key", "No."), (1011, "No."), CloseCode.REFUSED_UPSTREAM),
        (UpstreamLost("gone", "No."), (1011, "No."), CloseCode.UPSTREAM_LOST),
        (busy(), (1013, "Full."), CloseCode.REFUSED_UPSTREAM),
        (closed_by_the_service(), (4000, "model_not_found"), CloseCode.UPSTREAM_LOST),
    ],
)
def test_a_failed_upstream_is_told_and_then_closed_fittingly(
    failure: UpstreamError, close: tuple[int, str], code: CloseCode
) -> None:
    async def scene(stage: Stage) -> None:
        stage.upstream.fail(failure)
        await asyncio.sleep(0.01)
        error = stage.client.events[0]["error"]
        assert (error["type"], error["code"]) == ("server_error", failure.code)
        assert error["message"].startswith(failure.message)
        assert (failure.close_reason or "") in error["message"]
        assert stage.client.closes == [close]

    stage = play(scene)
    assert stage.session.life.code is code
    assert stage.session.life.failure is failure
    assert stage.session.life.reason == failure.message  # the service's goes in no log


def test_a_session_whose_time_is_up_says_so_as_openai_does() -> None:
    async def scene(stage: Stage) -> None:
        await asyncio.sleep(119.9)
        assert stage.client.events == []
        await asyncio.sleep(0.2)
        error = stage.client.events[0]["error"]
        assert (error["type"], error["code"]) == (
            "invalid_request_error",
            "session_expired",
        )
        words = "Your session hit the maximum duration of 2 minutes."
        assert error["message"] == words
        assert stage.client.closes == [(1001, words)]

    play(scene, max_s=120)


@pytest.mark.parametrize(
    ("code", "close_code"),
    [(CloseCode.DRAINING, 1001), (CloseCode.INTERNAL, 1011)],
)
def test_a_session_closed_by_the_relay_tells_why(
    code: CloseCode, close_code: int
) -> None:
    async def scene(stage: Stage) -> None:
        stage.session.close(code, "because")
        stage.session.close(CloseCode.NORMAL, "too late")
        await asyncio.sleep(0.01)
        assert stage.client.closes == [(close_code, "because")]

    play(scene)


def test_echo_says_a_websocket_clients_audio_back() -> None:
    async def main() -> list[dict[str, Any]]:
        client = FakeClient()
        request = SessionRequest(call_id="sess_1", tenant="t")
        session = DirectSession(request, Echo(), MAX_S)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.run(client))
            client.says("session.update", session={"instructions": "x"})
            client.says("input_audio_buffer.append", audio="AAEC")
            client.says("response.create")
            await asyncio.sleep(0.01)
            client.leaves()
        return client.events

    created, updated, delta = virtual.run(main())
    assert created["session"] == {"type": "realtime"}
    assert updated["session"] == {"type": "realtime", "instructions": "x"}
    assert (delta["type"], delta["delta"]) == ("response.output_audio.delta", "AAEC")


async def left(stage: Stage) -> None: ...


async def failed(stage: Stage) -> None:
    stage.upstream.fail(UpstreamLost("upstream_lost", "gone"))
    await asyncio.sleep(0.1)


@pytest.mark.parametrize("scene", [left, failed])
def test_a_session_is_freed_when_it_is_over_not_in_a_collection(
    scene: Callable[[Stage], Awaitable[None]],
) -> None:
    parts = attrgetter("session", "upstream")
    assert still_held(lambda: parts(play(scene))) == []
