"""When frames leave: bursts up to the lead, then one every 20 ms, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from proto.frames import DownFrame
from relay.audio import Speech
from relay.pacer import LEAD_S, LIVE_LEAD_S, Clock, Downlink
from relay.upstream.events import AudioDelta
from tests.support import clock as virtual


class Wire:
    """A session's speech and downlink, and what left when."""

    def __init__(self, lead_s: float = LEAD_S) -> None:
        self.speech = Speech()
        self.sent: list[tuple[float, DownFrame]] = []
        self.now = 0.0
        self.has_failed = False
        self.fails_after = 10**6
        self.downlink = Downlink(
            self.speech, lead_s, self._send, lambda now: None, self._fail
        )
        self.clock: Callable[[], float] = lambda: self.now

    def say(self, frames: int) -> None:
        self.speech.push(AudioDelta("resp_1", "item_1", 0, bytes(960 * frames)))

    def pump(self, now: float) -> bool:
        self.now = now
        return self.downlink.pump(now)

    def _fail(self, _: Exception) -> None:
        self.has_failed = True

    def _send(self, frame: DownFrame) -> None:
        if len(self.sent) == self.fails_after:
            raise ValueError("a fault")
        self.sent.append((self.clock(), frame))

    @property
    def leads_ms(self) -> list[int]:
        return [frame.lead_ms for _, frame in self.sent]

    @property
    def talkspurts(self) -> list[int]:
        return [frame.talkspurt for _, frame in self.sent]


def test_the_first_frames_leave_at_once_up_to_the_lead() -> None:
    wire = Wire()
    wire.say(50)
    assert wire.pump(1.0)
    assert wire.leads_ms == [0, 20, 40, 60, 80, 100, 120, 140, 160]


def test_each_later_frame_leaves_one_lead_ahead() -> None:
    wire = Wire()
    wire.say(12)
    for tick in range(4):
        wire.pump(1.0 + tick * 0.02)
    assert wire.leads_ms[9:] == [160, 160, 160]
    assert not wire.speech.has_frames


def test_a_late_tick_sends_all_it_owes() -> None:
    wire = Wire()
    wire.say(50)
    wire.pump(1.0)
    wire.pump(1.1)
    assert wire.leads_ms[9:] == [80, 100, 120, 140, 160]
    assert set(wire.talkspurts) == {1}


def test_a_stall_longer_than_the_lead_begins_a_new_talkspurt() -> None:
    wire = Wire()
    wire.say(50)
    wire.pump(1.0)
    wire.pump(1.5)
    assert wire.talkspurts == [1] * 9 + [2] * 9
    assert wire.leads_ms[9] == 0


def test_audio_that_resumes_in_time_goes_on_in_its_talkspurt() -> None:
    wire = Wire()
    wire.say(2)
    wire.pump(1.0)
    wire.say(2)
    wire.pump(1.03)
    assert wire.talkspurts == [1, 1, 1, 1]
    assert wire.leads_ms == [0, 20, 10, 30]


def test_audio_that_resumes_after_the_ear_ran_dry_begins_a_new_one() -> None:
    wire = Wire()
    wire.say(2)
    wire.pump(1.0)
    wire.say(2)
    wire.pump(1.05)
    assert wire.talkspurts == [1, 1, 2, 2]
    assert [frame.position_samples for _, frame in wire.sent] == [0, 480, 0, 480]


def test_after_a_cut_the_next_audio_is_a_new_talkspurt_at_once() -> None:
    wire = Wire()
    wire.say(50)
    wire.pump(1.0)
    wire.speech.cut()
    wire.say(1)
    wire.pump(1.01)
    assert wire.talkspurts == [1] * 9 + [2]
    assert wire.leads_ms[-1] == 0


def test_a_live_source_is_never_held_back() -> None:
    wire = Wire(LIVE_LEAD_S)
    for now in (1.0, 1.015, 1.045, 1.06, 1.06):
        wire.say(1)
        wire.pump(now)
    assert [at for at, _ in wire.sent] == [1.0, 1.015, 1.045, 1.06, 1.06]
    assert set(wire.leads_ms) == {0}
    assert set(wire.talkspurts) == {1}


def test_a_live_source_that_was_silent_begins_a_new_talkspurt() -> None:
    wire = Wire(LIVE_LEAD_S)
    for now in (1.0, 1.02, 1.4):
        wire.say(1)
        wire.pump(now)
    assert wire.talkspurts == [1, 1, 2]


def run(scene: Callable[[Clock, list[float]], Awaitable[None]]) -> list[float]:
    """Run a scene in virtual time; return how late each tick was."""
    late_s: list[float] = []

    async def main() -> None:
        clock = Clock(asyncio.get_running_loop(), late_s.append)
        try:
            await scene(clock, late_s)
        finally:
            clock.close()

    virtual.run(main())
    return late_s


def clocked_wire() -> Wire:
    wire = Wire()
    wire.clock = asyncio.get_running_loop().time
    return wire


def test_the_clock_sends_ten_seconds_without_drift() -> None:
    async def scene(clock: Clock, _: list[float]) -> None:
        await asyncio.sleep(0.013)
        wire = clocked_wire()
        wire.say(500)
        clock.wake(wire.downlink)
        await asyncio.sleep(11)
        assert len(wire.sent) == 500
        for index, (at, frame) in enumerate(wire.sent):
            due_s = 0.013 + index * 0.02
            assert frame.lead_ms == pytest.approx((due_s - at) * 1000, abs=1)
            assert index < 9 or 0.138 <= due_s - at <= 0.162

    assert max(run(scene)) < 0.001


def test_a_clock_with_nothing_to_send_stands_still() -> None:
    async def scene(clock: Clock, late_s: list[float]) -> None:
        wire = clocked_wire()
        wire.say(10)
        clock.wake(wire.downlink)
        await asyncio.sleep(1)
        ticks = len(late_s)
        assert clock.waiting_count == 0
        await asyncio.sleep(60)
        assert len(late_s) == ticks <= 2

    run(scene)


def test_sessions_share_the_ticks() -> None:
    async def scene(clock: Clock, late_s: list[float]) -> None:
        wires = [clocked_wire() for _ in range(20)]
        for wire in wires:
            wire.say(50)
            clock.wake(wire.downlink)
        await asyncio.sleep(2)
        assert all(len(wire.sent) == 50 for wire in wires)
        assert len(late_s) <= 45

    run(scene)


def test_a_removed_session_sends_no_more() -> None:
    async def scene(clock: Clock, _: list[float]) -> None:
        wire = clocked_wire()
        wire.say(50)
        clock.wake(wire.downlink)
        clock.remove(wire.downlink)
        await asyncio.sleep(1)
        assert len(wire.sent) == 9

    run(scene)


def test_a_session_that_fails_in_a_tick_is_let_go_and_the_others_go_on() -> None:
    async def scene(clock: Clock, _: list[float]) -> None:
        faulty, other = clocked_wire(), clocked_wire()
        faulty.fails_after = 12
        for wire in (faulty, other):
            wire.say(50)
            clock.wake(wire.downlink)
        await asyncio.sleep(2)
        assert clock.waiting_count == 0
        assert (len(faulty.sent), faulty.has_failed) == (12, True)
        assert (len(other.sent), other.has_failed) == (50, False)

    run(scene)
