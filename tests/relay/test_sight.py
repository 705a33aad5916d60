"""What is measured of a call's audio on its way through the relay."""

import asyncio

import pytest

from proto.frames import FRAME_BYTES, UpFrame
from relay.sight import Sight
from runtime.stages import EVERY, Stopwatch
from tests.relay.test_session import Stage, begin_reply, play, say_audio


def test_a_caller_waits_from_the_end_of_speech_to_the_first_sound() -> None:
    waited_s: list[float] = []

    async def scene(stage: Stage) -> None:
        stage.session.watched_by(Sight(answered=waited_s.append))
        stage.upstream.say("input_audio_buffer.speech_started")
        await asyncio.sleep(2)
        stage.upstream.say("input_audio_buffer.speech_stopped")
        await asyncio.sleep(0.7)
        begin_reply(stage)
        await asyncio.sleep(0.3)
        say_audio(stage)

    play(scene)
    assert waited_s == pytest.approx([0.7])


def test_who_speaks_on_has_not_been_answered_yet() -> None:
    waited_s: list[float] = []

    async def scene(stage: Stage) -> None:
        stage.session.watched_by(Sight(answered=waited_s.append))
        for event in ("stopped", "started", "stopped"):
            stage.upstream.say(f"input_audio_buffer.speech_{event}")
            await asyncio.sleep(0.5)
        begin_reply(stage)

    play(scene)
    assert waited_s == pytest.approx([0.5])


def test_one_frame_in_fifty_of_the_callers_is_timed() -> None:
    seen: list[float] = []

    async def scene(stage: Stage) -> None:
        stage.session.watched_by(Sight(uplink=Stopwatch(seen.append)))
        for number in range(2 * EVERY):
            frame = UpFrame(480 * number, 0, 0, bytes(FRAME_BYTES))
            stage.session.frame_received(frame)

    play(scene)
    assert len(seen) == 2


def test_what_waits_behind_other_audio_is_not_late() -> None:
    seen: list[float] = []

    async def scene(stage: Stage) -> None:
        timed = Stopwatch(seen.append, every=1)
        stage.session.watched_by(Sight(downlink=timed))
        begin_reply(stage)
        for _ in range(5):
            say_audio(stage)

    play(scene)
    assert len(seen) == 1


def test_what_waits_is_told() -> None:
    async def scene(stage: Stage) -> None:
        begin_reply(stage)
        assert stage.session.queues.speech > 400
        assert stage.session.queues.upstream == 0

    play(scene)
