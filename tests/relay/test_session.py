"""One session between a remembering link and a remembering upstream."""

import asyncio
import base64
import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import orjson
import pytest

from codec.g711 import Narrow, Wide
from codec.opus import Decoder, Encoder, packet_samples
from proto.errors import Backlogged, CloseCode, LocalError, NotConnected
from proto.frames import FRAME_SAMPLES, UpFrame
from proto.payload import Payload
from proto.request import SessionRequest
from relay.carriage import OpusHearing, OpusSpeaking
from relay.client.intake import FLOOD_REASON
from relay.client.limits import EVENTS_BURST
from relay.pacer import Clock
from relay.session import Session
from relay.upstream.port import UpstreamError, UpstreamLost, UpstreamRefused
from tests.relay.fakes import FakeLink, FakeUpstream
from tests.support import clock as virtual
from tests.support.freeing import still_held
from tests.transceiver.leg import voice

MAX_S = 3600.0
TEN_SECONDS = base64.b64encode(bytes(480_000)).decode()


@dataclass
class Stage:
    link: FakeLink
    upstream: FakeUpstream
    session: Session
    clock: Clock


def play(
    scene: Callable[[Stage], Awaitable[None]],
    offered: tuple[Payload, ...] = (),
    **wishes: Any,
) -> Stage:
    """Run a session in virtual time while the scene plays; then end it."""

    async def main() -> Stage:
        clock = Clock(asyncio.get_running_loop(), lambda late_s: None)
        link, upstream = FakeLink(), FakeUpstream()
        link.offered = offered
        session_part = {"instructions": "x"}
        request = SessionRequest(
            call_id="rtc_1", tenant="t", session=session_part, **wishes
        )
        session = Session(link, request, upstream, clock, MAX_S)
        stage = Stage(link, upstream, session, clock)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(session.run())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await scene(stage)
            session.closed(CloseCode.NORMAL, "")
        assert clock.waiting_count == 0
        clock.close()
        return stage

    return virtual.run(main())


def say_audio(stage: Stage, delta: str = TEN_SECONDS) -> None:
    where = {"response_id": "resp_1", "item_id": "item_1", "content_index": 0}
    stage.upstream.say("response.output_audio.delta", delta=delta, **where)


def begin_reply(stage: Stage) -> None:
    stage.upstream.say("response.created", response={"id": "resp_1"})
    say_audio(stage)


def test_a_session_is_accepted_at_once_and_opens_its_upstream() -> None:
    async def scene(stage: Stage) -> None:
        assert stage.link.accepted == 1
        assert stage.upstream.sent_types == ["session.update"]

    stage = play(scene)
    assert stage.upstream.was_cancelled
    assert stage.link.closes == []


def test_upstream_events_reach_the_client_byte_for_byte() -> None:
    message = b'{ "type":"response.created","response":{"id":"r"}, "x": 1.50 }'

    async def scene(stage: Stage) -> None:
        stage.upstream.say_raw(message)
        assert stage.link.raw_events == [message]

    play(scene)


def test_the_client_sees_one_session_created_that_tells_what_holds() -> None:
    async def scene(stage: Stage) -> None:
        stage.upstream.say("session.created", session={"id": "s", "voice": "alloy"})
        assert stage.link.events == []
        stage.upstream.say("session.updated", session={"voice": "marin"})
        assert stage.link.events == [
            {"type": "session.created", "session": {"id": "s", "voice": "marin"}}
        ]
        await asyncio.sleep(5)
        assert len(stage.link.events) == 1

    play(scene)


def test_a_client_that_sends_nothing_but_nonsense_ends_its_call() -> None:
    async def scene(stage: Stage) -> None:
        for _ in range(EVENTS_BURST + 1):
            stage.session.event_received(b"[]")
        assert stage.link.closes == [(CloseCode.PROTOCOL, FLOOD_REASON)]

    play(scene)


def test_a_session_created_is_not_held_for_an_upstream_that_answers_nothing() -> None:
    async def scene(stage: Stage) -> None:
        stage.upstream.say("session.created", session={"id": "s"})
        await asyncio.sleep(1.9)
        assert stage.link.events == []
        await asyncio.sleep(0.2)
        assert stage.link.types == ["session.created"]

    play(scene)


def test_a_session_created_held_when_the_upstream_fails_is_told_before() -> None:
    async def scene(stage: Stage) -> None:
        stage.upstream.say("session.created", session={"id": "s"})
        stage.upstream.fail(UpstreamLost("gone", "No."))
        await asyncio.sleep(0.1)
        assert stage.link.types == ["session.created", "error"]

    play(scene)


def test_no_event_of_the_clients_overtakes_the_opening() -> None:
    async def main() -> list[str]:
        clock = Clock(asyncio.get_running_loop(), lambda late_s: None)
        upstream = FakeUpstream()
        request = SessionRequest(call_id="rtc_1", tenant="t")
        session = Session(FakeLink(), request, upstream, clock, MAX_S)
        session.event_received(b'{"type":"response.create"}')
        return upstream.sent_types

    assert virtual.run(main()) == ["session.update", "response.create"]


def test_audio_goes_by_the_clock_and_not_as_an_event() -> None:
    async def scene(stage: Stage) -> None:
        begin_reply(stage)
        assert len(stage.link.frames) == 9
        await asyncio.sleep(1.0)
        assert 57 <= len(stage.link.frames) <= 59
        assert stage.link.types == ["response.created", "output_audio_buffer.started"]

    play(scene)


def test_the_callers_audio_is_appended_and_gaps_are_filled() -> None:
    async def scene(stage: Stage) -> None:
        pcm = b"\1\0" * 480
        stage.session.frame_received(UpFrame(0, 0, 0, pcm))
        stage.session.frames_lost(1)
        stage.session.frame_received(UpFrame(960, 0, 0, pcm))
        stage.session.frame_received(UpFrame(1920, 0, 0, pcm))
        assert bytes(stage.upstream.heard) == pcm + bytes(960) + pcm + bytes(960) + pcm

    stage = play(scene)
    assert stage.session.traffic.frames_up == 3
    assert stage.session.traffic.frames_lost == 1
    assert stage.session.traffic.filled_samples == 960


def test_a_barge_in_goes_through_edge_upstream_and_client() -> None:
    async def scene(stage: Stage) -> None:
        begin_reply(stage)
        await asyncio.sleep(0.5)
        stage.upstream.say("input_audio_buffer.speech_started")
        assert stage.link.flushes == [1]
        before = len(stage.link.frames)
        say_audio(stage)
        stage.upstream.say("response.done", response={"id": "resp_1"})
        stage.session.flush_done(1, 9600)
        await asyncio.sleep(1)
        assert len(stage.link.frames) == before
        truncate = orjson.loads(stage.upstream.sent[-1])
        assert truncate["type"] == "conversation.item.truncate"
        assert truncate["audio_end_ms"] == 400
        assert stage.link.types[-1] == "output_audio_buffer.cleared"

    stage = play(scene)
    assert stage.session.traffic.barge_ins == 1
    sent_samples = stage.session.traffic.frames_down * FRAME_SAMPLES
    assert stage.session.traffic.unheard_samples == sent_samples - 9600


def test_an_edge_that_never_answers_a_flush_is_not_waited_for() -> None:
    async def scene(stage: Stage) -> None:
        begin_reply(stage)
        stage.session.frame_received(UpFrame(0, 1, 2400, bytes(960)))
        stage.upstream.say("input_audio_buffer.speech_started")
        await asyncio.sleep(0.799)
        assert "output_audio_buffer.cleared" not in stage.link.types
        await asyncio.sleep(0.002)
        assert stage.link.types[-1] == "output_audio_buffer.cleared"
        assert stage.upstream.sent_types[-2:] == [
            "response.cancel",
            "conversation.item.truncate",
        ]

    play(scene)


def test_playback_is_told_as_stopped_after_the_last_sample_was_due() -> None:
    async def scene(stage: Stage) -> None:
        begin_reply(stage)
        stage.upstream.say("response.done", response={"id": "resp_1"})
        await asyncio.sleep(10.4)
        assert "output_audio_buffer.stopped" not in stage.link.types
        await asyncio.sleep(0.2)
        assert stage.link.types[-1] == "output_audio_buffer.stopped"

    play(scene)


def test_errors_of_the_relays_own_events_stay_here() -> None:
    async def scene(stage: Stage) -> None:
        own = {"code": "response_cancel_not_active", "event_id": "tandem_relay_3"}
        stage.upstream.say("error", error=own)
        assert stage.link.events == []
        stage.upstream.say("error", error={"code": "x", "event_id": "theirs"})
        stage.upstream.say("error", error={"code": "x", "event_id": None})
        assert stage.link.types == ["error", "error"]

    stage = play(scene)
    assert stage.session.traffic.own_errors == 1


def test_what_is_no_event_goes_nowhere() -> None:
    async def scene(stage: Stage) -> None:
        for junk in (b"", b"[]", b"{}", b"\xff", b'{"type":"response.audio.delta"}'):
            stage.upstream.say_raw(junk)
        assert stage.link.events == []

    stage = play(scene)
    assert stage.session.traffic.events_malformed == 5


def test_appended_audio_is_refused_with_the_clients_event_id() -> None:
    async def scene(stage: Stage) -> None:
        event = {"type": "input_audio_buffer.append", "event_id": "e1", "audio": ""}
        stage.session.event_received(orjson.dumps(event))
        error = stage.link.events[0]["error"]
        assert error["event_id"] == "e1"
        assert error["type"] == "invalid_request_error"
        assert stage.upstream.sent_types == ["session.update"]

    play(scene)


def test_clear_is_the_relays_and_not_sent_on() -> None:
    async def scene(stage: Stage) -> None:
        begin_reply(stage)
        stage.session.event_received(b'{"type":"output_audio_buffer.clear"}')
        assert stage.link.flushes == [1]
        assert stage.upstream.sent_types == ["session.update", "response.cancel"]

    play(scene)


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (UpstreamRefused("no_key", "No."), CloseCode.REFUSED_UPSTREAM),
        (UpstreamLost("gone", "No."), CloseCode.UPSTREAM_LOST),
    ],
)
def test_a_failed_upstream_is_told_and_ends_the_session(
    failure: UpstreamError, code: CloseCode
) -> None:
    async def scene(stage: Stage) -> None:
        stage.upstream.fail(failure)
        await asyncio.sleep(0.1)
        error = stage.link.events[0]["error"]
        assert (error["code"], error["message"]) == (failure.code, "No.")
        assert stage.link.closes == [(code, "No.")]

    stage = play(scene)
    assert stage.session.life.failure is failure


def test_a_client_that_takes_no_events_is_left() -> None:
    async def scene(stage: Stage) -> None:
        stage.link.refuse_events_with = Backlogged("full")
        stage.upstream.say("some.event")
        await asyncio.sleep(0.1)
        assert stage.link.closes[0][0] is CloseCode.TIMEOUT
        assert stage.upstream.was_cancelled

    play(scene)


@pytest.mark.parametrize("error", [NotConnected("gone"), LocalError("too long")])
def test_an_event_that_cannot_be_sent_is_counted(error: LocalError) -> None:
    async def scene(stage: Stage) -> None:
        stage.link.refuse_events_with = error
        stage.upstream.say("some.event")
        assert stage.link.closes == []

    stage = play(scene)
    assert stage.session.traffic.events_undelivered == 1


def test_a_session_ended_in_mid_reply_sends_no_more() -> None:
    async def scene(stage: Stage) -> None:
        begin_reply(stage)
        stage.session.closed(CloseCode.NORMAL, "")
        await asyncio.sleep(0.01)
        before = len(stage.link.frames)
        await asyncio.sleep(1)
        assert len(stage.link.frames) == before

    play(scene)


def test_closing_twice_tells_the_link_once() -> None:
    async def scene(stage: Stage) -> None:
        stage.session.close(CloseCode.DRAINING, "bye")
        stage.session.close(CloseCode.INTERNAL, "again")
        assert stage.link.closes == [(CloseCode.DRAINING, "bye")]

    play(scene)


def test_a_fault_in_the_clocks_tick_ends_the_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene(stage: Stage) -> None:
        begin_reply(stage)
        stage.link.refuse_frames_with = ValueError("a fault")
        await asyncio.sleep(0.1)
        assert stage.link.closes == [(CloseCode.INTERNAL, "internal error")]
        assert stage.upstream.was_cancelled

    play(scene)
    (line,) = caplog.records
    assert (line.getMessage(), vars(line)["call"]) == ("audio failed", "rtc_1")
    assert line.exc_info is not None
    assert line.exc_info[0] is ValueError


def test_events_and_fields_unknown_here_pass_up_byte_for_byte() -> None:
    message = b'{ "type":"some.future_event", "x":{"y":[1.50, null]}}'

    async def scene(stage: Stage) -> None:
        stage.session.event_received(message)
        assert stage.upstream.sent[1:] == [message]

    play(scene)


def test_a_call_whose_time_is_up_says_so_as_openai_does() -> None:
    async def scene(stage: Stage) -> None:
        await asyncio.sleep(MAX_S + 1)
        error = stage.link.events[0]["error"]
        assert (error["type"], error["code"]) == (
            "invalid_request_error",
            "session_expired",
        )
        words = "Your session hit the maximum duration of 60 minutes."
        assert error["message"] == words
        assert stage.link.closes == [(CloseCode.TIMEOUT, words)]

    play(scene)


def test_what_is_locked_the_client_cannot_change() -> None:
    async def scene(stage: Stage) -> None:
        event = {"type": "session.update", "session": {"instructions": "mine"}}
        stage.session.event_received(orjson.dumps(event))
        sent = orjson.loads(stage.upstream.sent[-1])
        assert sent["session"] == {"instructions": "x"}

    play(scene, bound={"instructions": "x"})


def test_an_event_larger_than_the_clients_channel_takes_loses_its_audio() -> None:
    part = {"type": "output_audio", "audio": "A" * 20_000, "transcript": "t"}

    async def scene(stage: Stage) -> None:
        item = {"id": "i", "type": "message", "content": [part]}
        stage.upstream.say("conversation.item.retrieved", event_id="e", item=item)
        assert "t" in stage.link.events[0]["item"]["content"][0].values()
        assert len(stage.link.raw_events[0]) < 16_384

    play(scene, max_event_bytes=16_384)


def test_a_session_is_carried_as_its_edge_asked_and_counts_what_it_made_up() -> None:
    encoder = Encoder()
    payloads = [encoder.encode(voice(n * 480, 480)) for n in range(10)]

    async def scene(stage: Stage) -> None:
        for number, payload in enumerate(payloads):
            if number not in (4, 5):
                stage.session.frame_received(UpFrame(number * 480, 0, 0, payload))
        say_audio(stage)

    stage = play(scene, offered=(Payload.OPUS, Payload.PCMU))
    assert stage.link.payload is Payload.OPUS
    assert len(stage.upstream.heard) == len(payloads) * 960
    traffic = stage.session.traffic
    assert traffic.packets_recovered + traffic.packets_concealed == 2
    assert {packet_samples(frame.payload) for frame in stage.link.frames} == {480}


def codecs() -> int:
    """Return how many codecs there are in this process."""
    gc.collect()
    kinds = (Decoder, Encoder, OpusHearing, OpusSpeaking, Narrow, Wide)
    return sum(type(one) in kinds for one in gc.get_objects())


@pytest.mark.parametrize("payload", [Payload.OPUS, Payload.PCMU])
def test_nothing_of_a_codec_outlives_its_session(payload: Payload) -> None:
    frames = {
        Payload.OPUS: Encoder().encode(voice(0, 480)),
        Payload.PCMU: bytes(160),
    }

    async def scene(stage: Stage) -> None:
        stage.session.frame_received(UpFrame(0, 0, 0, frames[payload]))
        say_audio(stage)
        await asyncio.sleep(0.1)

    before = codecs()
    for _ in range(5):
        stage = play(scene, offered=(payload,))
        assert len(stage.link.frames) > 1
        del stage
    assert codecs() == before


async def left(stage: Stage) -> None:
    begin_reply(stage)
    await asyncio.sleep(0.1)


async def failed(stage: Stage) -> None:
    await left(stage)
    stage.upstream.fail(UpstreamLost("upstream_lost", "gone"))
    await asyncio.sleep(0.1)


@pytest.mark.parametrize("scene", [left, failed])
def test_a_session_is_freed_when_it_is_over_not_in_a_collection(
    scene: Callable[[Stage], Awaitable[None]],
) -> None:
    parts = attrgetter("session", "upstream")
    assert still_held(lambda: parts(play(scene))) == []
