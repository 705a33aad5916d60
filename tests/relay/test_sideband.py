"""Servers attached to a live call, between a remembering link and upstream."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from proto.errors import CloseCode
from proto.request import SessionRequest
from relay.audience import MAX_ID_CHARACTERS, MAX_IDS, MAX_SIDEBANDS
from relay.client.intake import FLOOD_REASON
from relay.client.limits import EVENTS_BURST
from relay.pacer import Clock
from relay.session import Session
from relay.sideband import Sideband
from tests.relay.fakes import FakeClient, FakeLink, FakeUpstream
from tests.support import clock as virtual

MAX_S = 3600.0


@dataclass
class Stage:
    link: FakeLink
    upstream: FakeUpstream
    call: Session
    tasks: asyncio.TaskGroup

    async def attach(self, *, speaks_beta: bool = False) -> FakeClient:
        server = FakeClient()
        sideband = Sideband(self.call, speaks_beta=speaks_beta)
        self.tasks.create_task(sideband.run(server))
        await asyncio.sleep(0.001)
        return server

    def announce(self) -> None:
        """Have the upstream tell its session, and the client hear of it."""
        self.upstream.say("session.created", session={"id": "s", "voice": "alloy"})
        self.upstream.say("session.updated", session={"voice": "marin"})


def play(scene: Callable[[Stage], Awaitable[None]], **wishes: Any) -> Stage:
    """Run a call in virtual time while the scene plays; then end it."""

    async def main() -> Stage:
        clock = Clock(asyncio.get_running_loop(), lambda late_s: None)
        link, upstream = FakeLink(), FakeUpstream()
        request = SessionRequest(call_id="rtc_1", tenant="t", **wishes)
        async with asyncio.TaskGroup() as tasks:
            call = Session(link, request, upstream, clock, MAX_S)
            stage = Stage(link, upstream, call, tasks)
            tasks.create_task(call.run())
            await asyncio.sleep(0.001)
            await scene(stage)
            call.closed(CloseCode.NORMAL, "the caller left")
        clock.close()
        return stage

    return virtual.run(main())


def test_a_server_is_told_the_session_as_it_is_now() -> None:
    async def scene(stage: Stage) -> None:
        stage.announce()
        stage.upstream.say("session.updated", session={"voice": "marin", "tools": []})
        server = await stage.attach()
        (created,) = server.events
        assert created["type"] == "session.created"
        assert created["session"] == {"id": "s", "voice": "marin", "tools": []}

    play(scene)


def test_a_server_that_comes_first_is_told_once_with_the_client() -> None:
    async def scene(stage: Stage) -> None:
        server = await stage.attach()
        stage.upstream.say("session.created", session={"id": "s", "voice": "alloy"})
        late = await stage.attach()
        assert server.events == late.events == []
        stage.upstream.say("session.updated", session={"voice": "marin"})
        assert server.raw_events == late.raw_events == stage.link.raw_events
        assert server.types == ["session.created"]

    play(scene)


def test_a_server_gets_every_event_that_the_client_gets_and_no_audio() -> None:
    async def scene(stage: Stage) -> None:
        stage.announce()
        server = await stage.attach()
        stage.upstream.say("response.created", response={"id": "r"})
        where = {"response_id": "r", "item_id": "i", "content_index": 0}
        stage.upstream.say("response.output_audio.delta", delta="AAAA", **where)
        stage.upstream.say("response.output_audio.done", **where)
        stage.upstream.say("some.future_event", x=1)
        assert server.types[1:] == stage.link.types[1:]
        assert "output_audio_buffer.started" in server.types
        assert "response.output_audio.delta" not in server.types

    play(scene)


def test_a_server_may_send_what_the_client_may() -> None:
    message = b'{"type":"some.future_event", "x":[1.50]}'

    async def scene(stage: Stage) -> None:
        server = await stage.attach()
        server.says_raw(message)
        server.says("input_audio_buffer.append", event_id="mine", audio="")
        await asyncio.sleep(0.01)
        assert stage.upstream.sent[1:] == [message]
        error = server.events[0]["error"]
        assert (error["code"], error["event_id"]) == ("unsupported_event", "mine")
        assert stage.link.events == []

    play(scene)


def test_a_server_that_sends_nothing_but_nonsense_is_let_go() -> None:
    async def scene(stage: Stage) -> None:
        server = await stage.attach()
        for _ in range(EVENTS_BURST + 1):
            server.says_raw(b"[]")
        await asyncio.sleep(0.01)
        assert server.closes == [(1008, FLOOD_REASON)]
        assert not stage.call.life.is_over

    play(scene)


def test_a_server_may_silence_the_model() -> None:
    async def scene(stage: Stage) -> None:
        server = await stage.attach()
        stage.upstream.say("response.created", response={"id": "r"})
        where = {"response_id": "r", "item_id": "i", "content_index": 0}
        audio = "A" * 64_000
        stage.upstream.say("response.output_audio.delta", delta=audio, **where)
        server.says("output_audio_buffer.clear")
        await asyncio.sleep(0.01)
        assert stage.link.flushes == [1]
        assert stage.upstream.sent_types[-1] == "response.cancel"

    play(scene)


def test_an_error_that_one_server_caused_is_for_it_alone() -> None:
    async def scene(stage: Stage) -> None:
        one, other = await stage.attach(), await stage.attach()
        one.says("conversation.item.delete", event_id="mine", item_id="x")
        await asyncio.sleep(0.01)
        stage.upstream.say("error", error={"code": "c", "event_id": "mine"})
        assert one.types == ["error"]
        assert other.events == stage.link.events == []
        stage.upstream.say("error", error={"code": "c", "event_id": "the client's"})
        stage.upstream.say("error", error={"code": "c", "event_id": None})
        assert one.types == ["error"] * 3
        assert other.types == stage.link.types == ["error"] * 2

    play(scene)


def test_an_error_about_an_id_that_two_have_given_is_for_everyone() -> None:
    message = b'{"type":"response.create","event_id":"create_1"}'

    async def scene(stage: Stage) -> None:
        server = await stage.attach()
        stage.call.event_received(message)
        server.says_raw(message)
        await asyncio.sleep(0.01)
        stage.upstream.say("error", error={"code": "c", "event_id": "create_1"})
        assert server.types == stage.link.types == ["error"]

    play(scene)


def test_an_error_that_a_server_caused_and_did_not_wait_for_is_for_everyone() -> None:
    async def scene(stage: Stage) -> None:
        other, gone = await stage.attach(), await stage.attach()
        gone.says("some.event", event_id="mine")
        gone.leaves()
        await asyncio.sleep(0.01)
        stage.upstream.say("error", error={"code": "c", "event_id": "mine"})
        assert other.types == stage.link.types == ["error"]

    play(scene)


def test_the_ids_of_events_are_not_kept_for_ever() -> None:
    async def scene(stage: Stage) -> None:
        server = await stage.attach()
        for number in range(MAX_IDS + 1):
            server.says("some.event", event_id=f"e{number}")
        await asyncio.sleep(1)
        stage.upstream.say("error", error={"code": "c", "event_id": "e0"})
        assert stage.link.types == ["error"]
        stage.upstream.say("error", error={"code": "c", "event_id": "e1"})
        assert stage.link.types == ["error"]

    play(scene)


def test_the_lock_does_not_bind_a_server_and_keeps_what_it_sets() -> None:
    async def scene(stage: Stage) -> None:
        server = await stage.attach()
        server.says("session.update", session={"instructions": "new", "tools": []})
        await asyncio.sleep(0.01)
        update = {"instructions": "old", "tools": ["t"]}
        event = {"type": "session.update", "session": update}
        stage.call.event_received(orjson.dumps(event))
        sent = [orjson.loads(payload)["session"] for payload in stage.upstream.sent]
        assert sent[1:] == [{"instructions": "new", "tools": []}] * 2

    locked = {"instructions": "old"}
    play(scene, session=locked, bound=locked)


def test_what_the_upstream_refuses_a_server_is_not_kept_for_the_client() -> None:
    async def scene(stage: Stage) -> None:
        server = await stage.attach()
        for id_ in ("mine", "shared"):
            session = {"instructions": "new", id_: 1}
            server.says("session.update", event_id=id_, session=session)
        await asyncio.sleep(0.01)
        stage.call.event_received(b'{"type":"x","event_id":"shared"}')
        for id_ in ("mine", "shared"):
            stage.upstream.say("error", error={"code": "c", "event_id": id_})
        update = {"mine": 2, "shared": 2}
        event = {"type": "session.update", "session": update}
        stage.call.event_received(orjson.dumps(event))
        sent = orjson.loads(stage.upstream.sent[-1])["session"]
        assert sent == {"mine": 2, "shared": 1}  # whose error the second was is unknown

    play(scene, bound={"instructions": "old"})


def test_ids_of_any_length_are_answered_and_only_short_ones_remembered() -> None:
    async def scene(stage: Stage) -> None:
        server = await stage.attach()
        for length, told in ((MAX_ID_CHARACTERS, 0), (MAX_ID_CHARACTERS + 1, 1)):
            server.says("some.event", event_id="x" * length)
            await asyncio.sleep(0.01)
            error = {"code": "c", "event_id": "x" * length}
            stage.upstream.say("error", error=error)
            assert len(stage.link.events) == told
        assert server.types == ["error"] * 2

    play(scene)


def test_a_server_waits_while_the_upstream_is_full_and_the_call_does_not() -> None:
    async def scene(stage: Stage) -> None:
        server = await stage.attach()
        stage.upstream.is_full = True
        server.says("from.the_server")
        await asyncio.sleep(1)
        stage.call.event_received(b'{"type":"from.the_client"}')
        assert stage.upstream.sent_types[1:] == ["from.the_client"]
        stage.upstream.is_full = False
        stage.upstream.made_room.set()
        await asyncio.sleep(0.01)
        assert stage.upstream.sent_types[2:] == ["from.the_server"]

    play(scene)


def test_a_server_that_waits_for_room_is_let_go_with_the_call() -> None:
    async def scene(stage: Stage) -> None:
        server = await stage.attach()
        stage.upstream.is_full = True
        server.says("from.the_server")
        await asyncio.sleep(1)

    stage = play(scene)  # ends when all its tasks have
    assert stage.upstream.sent_types == ["session.update"]


def test_beta_is_spoken_with_a_server_that_speaks_it() -> None:
    async def scene(stage: Stage) -> None:
        server = await stage.attach(speaks_beta=True)
        stage.upstream.say("response.output_text.delta", delta="x")
        assert server.types == ["response.text.delta"]
        assert stage.link.types == ["response.output_text.delta"]

    play(scene)


def test_one_server_too_many_is_closed_and_a_place_that_is_left_is_free() -> None:
    async def scene(stage: Stage) -> None:
        servers = [await stage.attach() for _ in range(MAX_SIDEBANDS)]
        assert stage.call.audience.is_full
        late = await stage.attach()
        assert late.closes[0][0] == 1013
        servers[0].leaves()
        await asyncio.sleep(0.01)
        assert (await stage.attach()).closes == []
        assert servers[1].closes == []

    play(scene)


def test_the_calls_end_is_its_servers_end_too() -> None:
    servers: list[FakeClient] = []

    async def scene(stage: Stage) -> None:
        servers.append(await stage.attach())

    stage = play(scene)
    assert servers[0].closes == [(1000, "the caller left")]
    assert not stage.call.audience.is_full


def test_a_server_that_comes_as_the_call_ends_is_told_so() -> None:
    async def scene(stage: Stage) -> None:
        stage.call.closed(CloseCode.NORMAL, "")
        server = await stage.attach()
        assert server.closes == [(1000, "the call has ended")]

    play(scene)
