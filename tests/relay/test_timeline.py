"""Silence stands in for what the caller's timeline skips, by frames and by time."""

import heapq
import itertools
import math

import pytest
from hypothesis import example, given, settings, strategies as st

from proto.frames import FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ
from relay.silence import TICK_S, TICKS_PER_ROUND
from relay.timeline import (
    COMFORT_QUIET_S,
    ENOUGH_SAMPLES,
    MAX_FILL_SAMPLES,
    MAX_OWED_SAMPLES,
    NEEDED_SAMPLES,
    QUIET_S,
    STEP_SAMPLES,
    Timeline,
)

FRAME_S = FRAME_MS / 1000
ROUND_S = TICK_S * TICKS_PER_ROUND
COMFORT_S = 0.4
"""Opus's comfort packets in silence."""

EPSILON_S = 1e-6


def samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)


class Model:
    """What an upstream is told, while the clock comes by once a round.

    Attributes:
        appended: Samples of all it was told.
        silence: Those of them that were made up since the last frame.
        messages: How often it was told of silence.
    """

    def __init__(self, offset_s: float = 0.0) -> None:
        self.timeline = Timeline()
        self.appended = 0
        self.silence = 0
        self.messages = 0
        self.forgiven = 0
        self._origin: int | None = None
        self._next_visit_s = offset_s

    def frame(self, position: int, now: float, length: int = FRAME_SAMPLES) -> int:
        self.wait(now)
        if self._origin is None:
            self._origin = position
        told = self._told(self.timeline.take(position, length, now))
        self.appended += length
        self.silence = 0
        self._balance()
        return told

    def wait(self, until: float) -> None:
        while self._next_visit_s <= until:
            self._told(self.timeline.pass_time(self._next_visit_s))
            self._balance()
            self._next_visit_s += ROUND_S

    def _told(self, silence: int) -> int:
        assert 0 <= silence <= MAX_FILL_SAMPLES
        self.appended += silence
        self.silence += silence
        self.messages += silence > 0
        return silence

    def _balance(self) -> None:
        """All that is told is the caller's time, or owed; or less, and for good.

        More only where so much is owed that some of it is forgotten.
        """
        timeline = self.timeline
        ahead = self.appended - (timeline.head_samples - (self._origin or 0))
        if self._origin is None:
            ahead = self.appended
        forgiven = timeline.owed_samples - ahead
        is_full = timeline.owed_samples == MAX_OWED_SAMPLES
        assert forgiven >= self.forgiven or is_full
        assert 0 <= timeline.owed_samples <= MAX_OWED_SAMPLES
        self.forgiven = forgiven


class Caller:
    """Frames with the times at which they come, in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self.frames: list[tuple[float, int]] = []
        self._number = 0

    @property
    def position(self) -> int:
        return self._number * FRAME_SAMPLES

    def speak(self, frames: int) -> None:
        for _ in range(frames):
            self.frames.append((self.now, self.position))
            self._pass()

    def lose(self, frames: int) -> None:
        for _ in range(frames):
            self._pass()

    def pause(self, frames: int) -> None:
        """Send comfort packets only."""
        for number in range(frames):
            if number % 20 == 19:
                self.frames.append((self.now, self.position))
            self._pass()

    def stall(self, frames: int) -> None:
        """Speak; all of it comes at the end at once."""
        first = len(self.frames)
        self.speak(frames)
        self.frames[first:] = [(self.now, at) for _, at in self.frames[first:]]

    def jitter(self, frames: int) -> None:
        """Speak; each frame comes up to 120 ms late, in order."""
        first = len(self.frames)
        self.speak(frames)
        latest = 0.0
        for index in range(first, len(self.frames)):
            at, position = self.frames[index]
            latest = max(latest, at + 0.02 * (index * 7 % 7))
            self.frames[index] = (latest, position)
        self.now = max(self.now, latest)

    def _pass(self) -> None:
        self._number += 1
        self.now += FRAME_S

    def act(self, deeds: list[tuple[str, int]]) -> None:
        for deed, frames in deeds:
            getattr(self, deed)(frames)

    def call(self, offset_s: float = 0.0) -> Model:
        """Return the model behind the last frame."""
        model = Model(offset_s)
        for at, position in heapq.merge(self.frames):
            model.frame(position, at)
        return model


DEEDS = st.lists(
    st.tuples(
        st.sampled_from(["speak", "lose", "pause", "stall", "jitter"]),
        st.one_of(st.integers(1, 12), st.integers(1, 300)),
    ),
    max_size=12,
)
machine_decides = settings(deadline=None)  # how long one takes is its business
OFFSETS_S = st.floats(0.0, ROUND_S)


def spoken(deeds: list[tuple[str, int]], offset_s: float = 0.0) -> tuple[Model, float]:
    """Return a model after these deeds and 0.2 s of speech, and the time then."""
    caller = Caller()
    caller.act([*deeds, ("speak", 10)])
    return caller.call(offset_s), caller.frames[-1][0]


def test_audio_that_follows_directly_needs_no_silence() -> None:
    model = Model()
    assert [model.frame(480 * n, n * FRAME_S) for n in range(100)] == [0] * 100
    assert model.appended == 48_000


def test_the_first_frame_needs_no_silence_wherever_it_is() -> None:
    model = Model()
    model.wait(100.0)
    assert model.frame(480_000, 100.0) == 0
    assert model.appended == 480


def test_a_jump_is_filled_with_silence_of_its_length() -> None:
    timeline = Timeline()
    timeline.take(0, 480, 0.0)
    assert timeline.take(9600, 480, 0.4) == 9120


def test_a_wild_jump_is_filled_up_to_the_bound() -> None:
    timeline = Timeline()
    timeline.take(0, 480, 0.0)
    assert timeline.take(2**40, 480, 0.02) == MAX_FILL_SAMPLES
    assert timeline.take(2**40 + 480, 480, 0.04) == 0


def test_a_position_that_goes_back_is_taken_as_it_is() -> None:
    timeline = Timeline()
    timeline.take(4800, 480, 0.0)
    assert timeline.take(0, 480, 0.02) == 0
    assert timeline.take(480, 480, 0.04) == 0
    assert timeline.owed_samples == 0


@pytest.mark.parametrize("late_s", [0.02, 0.06, 0.1, 0.12])
def test_jitter_within_what_a_link_waits_cuts_no_word(late_s: float) -> None:
    model, now = spoken([])
    position = model.timeline.head_samples
    assert model.frame(position, now + FRAME_S + late_s) == 0
    assert model.messages == 0


@machine_decides
@given(deeds=DEEDS, offset_s=OFFSETS_S, turn_end_ms=st.integers(220, 2000))
def test_a_turn_ends_in_time_when_frames_stop_whatever_came_before(
    deeds: list[tuple[str, int]], offset_s: float, turn_end_ms: int
) -> None:
    model, now = spoken(deeds, offset_s)
    model.wait(now + turn_end_ms / 1000 + ROUND_S + EPSILON_S)
    assert model.silence >= samples(turn_end_ms / 1000) - 1


@machine_decides
@given(offset_s=OFFSETS_S, checked_s=st.floats(0.0, 2.0))
@example(offset_s=0.0, checked_s=1.78)
def test_comfort_packets_hardly_put_off_the_end_of_a_turn(
    offset_s: float, checked_s: float
) -> None:
    caller = Caller()
    caller.speak(50)
    ended = caller.now - FRAME_S
    caller.pause(150)
    checked = ended + checked_s
    model = Model(offset_s)
    for at, position in itertools.takewhile(lambda f: f[0] <= checked, caller.frames):
        model.frame(position, at)
    model.wait(checked)
    late_samples = 50 * FRAME_SAMPLES + samples(checked_s) - model.appended
    worst_s = QUIET_S if checked_s < QUIET_S + ROUND_S else COMFORT_QUIET_S
    assert late_samples <= samples(worst_s + ROUND_S)
    assert late_samples >= -FRAME_SAMPLES


@machine_decides
@given(deeds=DEEDS, offset_s=OFFSETS_S)
def test_nothing_is_owed_after_a_long_silence(
    deeds: list[tuple[str, int]], offset_s: float
) -> None:
    model, now = spoken(deeds, offset_s)
    position = model.timeline.head_samples
    owed = model.timeline.owed_samples
    model.wait(now + (NEEDED_SAMPLES + owed + 2 * STEP_SAMPLES) / SAMPLE_RATE_HZ)
    assert model.timeline.owed_samples == 0 or model.timeline.is_at_rest
    model.frame(position + samples(20.0), now + 20.0)
    assert model.timeline.owed_samples == 0


@machine_decides
@given(deeds=DEEDS, offset_s=OFFSETS_S)
def test_a_model_is_told_all_of_the_callers_time_but_long_silences(
    deeds: list[tuple[str, int]], offset_s: float
) -> None:
    caller = Caller()
    caller.act(deeds)
    model = caller.call(offset_s)
    gaps = [
        after - before - FRAME_SAMPLES
        for (_, before), (_, after) in itertools.pairwise(caller.frames)
    ]
    if sum(gap for gap in gaps if gap > 0) <= NEEDED_SAMPLES:
        assert model.forgiven <= 0


def test_a_stall_is_made_up_and_what_came_late_is_taken_off_later() -> None:
    caller = Caller()
    caller.speak(50)
    caller.stall(40)
    caller.speak(50)
    model = caller.call()
    owed = model.timeline.owed_samples
    assert samples(0.8) - samples(ROUND_S) <= owed <= samples(0.8) + FRAME_SAMPLES
    assert model.appended == 140 * FRAME_SAMPLES + owed
    model.wait(caller.now + 4.0)
    assert model.timeline.owed_samples == 0
    late = samples(4.0) - model.silence - owed
    assert abs(late) <= STEP_SAMPLES + samples(ROUND_S) + FRAME_SAMPLES


@pytest.mark.parametrize("to_be_noticed", [False, True])
@pytest.mark.parametrize("pause_s", [3.0, 12.0, 60.0])
def test_turns_end_where_the_callers_clock_stands_still_in_pauses(
    pause_s: float, *, to_be_noticed: bool
) -> None:
    model, now, position = Model(), 0.0, 0
    model.timeline.expect_idleness(to_be_noticed=to_be_noticed)
    for _ in range(10):
        for _ in range(50):
            model.frame(position, now)
            position += FRAME_SAMPLES
            now += FRAME_S
        model.wait(now + pause_s - FRAME_S)
        assert model.silence >= NEEDED_SAMPLES - samples(ROUND_S)
        now += pause_s


def test_stalls_in_a_row_do_not_drift_without_bound() -> None:
    caller = Caller()
    for _ in range(60):
        caller.stall(90)
        caller.speak(20)
    model = caller.call()
    assert model.timeline.owed_samples <= MAX_OWED_SAMPLES


@pytest.mark.parametrize("hour_s", [20.0, 3600.0])
def test_nothing_said_nothing_told(hour_s: float) -> None:
    model, now = spoken([])
    model.wait(now + hour_s)
    assert model.silence == pytest.approx(ENOUGH_SAMPLES, abs=STEP_SAMPLES * 2)
    rounds = NEEDED_SAMPLES / SAMPLE_RATE_HZ / ROUND_S
    steps = (ENOUGH_SAMPLES - NEEDED_SAMPLES) / STEP_SAMPLES
    assert model.messages <= math.ceil(rounds + steps)
    assert model.timeline.is_at_rest


def test_comfort_packets_alone_do_not_begin_a_silence_anew() -> None:
    caller = Caller()
    caller.speak(10)
    caller.pause(3000)
    model = caller.call()
    comfort = 3000 // 20 * FRAME_SAMPLES
    assert model.appended <= 10 * FRAME_SAMPLES + comfort + ENOUGH_SAMPLES
    assert model.timeline.is_at_rest


def test_silence_goes_on_for_a_model_that_waits_for_it() -> None:
    model, now = spoken([])
    model.timeline.expect_idleness(to_be_noticed=True)
    model.wait(now + 100.0)
    assert abs(model.silence - samples(100.0)) <= 2 * STEP_SAMPLES
    assert model.messages <= 100.0 / 0.24 + 40
    model.timeline.expect_idleness(to_be_noticed=False)
    assert model.timeline.is_at_rest


def test_what_the_model_takes_for_speech_can_end() -> None:
    model, now = spoken([])
    model.wait(now + 60.0)
    model.frame(samples(60.2), now + 60.0)
    model.wait(now + 70.0)
    assert model.silence == 0
    model.timeline.speech_started()
    model.wait(now + 71.0)
    assert model.silence >= samples(0.5)
