"""The downlink's playout, with a hand-written now."""

import itertools
import math
import random

import pytest
from hypothesis import given, strategies as st

from proto.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, DownFrame
from transceiver.playout import (
    EARLY_S,
    HUSH_FRAMES,
    MAX_POSITION_SAMPLES,
    MAX_WAITING_FRAMES,
    Playout,
)

FRAME_S = 0.02
SILENCE = bytes(2 * FRAME_SAMPLES)


def frame(talkspurt: int, index: int, lead_ms: int = 100) -> DownFrame:
    return DownFrame(talkspurt, index * FRAME_SAMPLES, lead_ms, SILENCE)


def ahead(talkspurt: int, *indices: int, due_ms: int = 100) -> list[DownFrame]:
    """Frames sent in one go; `due_ms`: when frame 0 is due after that."""
    return [frame(talkspurt, i, due_ms + i * 20) for i in indices]


class Ear:
    """A playout, and when each frame was sent."""

    def __init__(self) -> None:
        self.playout = Playout()
        self.sent: list[tuple[float, int, int]] = []

    def run(self, until: float) -> None:
        while (due := self.playout.next_due()) <= until:
            self.pull(due)

    def pull(self, now: float) -> None:
        for sent in self.playout.pull(now):
            index = sent.position_samples // FRAME_SAMPLES
            self.sent.append((now, sent.talkspurt, index))

    def push(self, now: float, *frames: DownFrame) -> None:
        self.run(now)
        for item in frames:
            self.playout.push(item, now)
            self.pull(now)

    def at(self) -> list[float]:
        return [at for at, _, _ in self.sent]


def test_frames_are_sent_at_their_lead_and_then_every_20_ms() -> None:
    ear = Ear()
    for i in range(10):
        ear.push(i * FRAME_S, frame(1, i))
    ear.run(1)
    assert ear.at() == pytest.approx([0.1 + i * FRAME_S for i in range(10)], abs=1e-6)


def test_jitter_of_the_link_within_the_lead_is_not_heard() -> None:
    ear = Ear()
    rng = random.Random(1)
    arrivals = sorted(i * FRAME_S + rng.uniform(0, 0.09) for i in range(100))
    ear.push(0.0, frame(1, 0))
    for i, at in enumerate(arrivals, 1):
        ear.push(at + FRAME_S, frame(1, i))
    ear.run(10)
    steps = [b - a for a, b in itertools.pairwise(ear.at())]
    assert steps == pytest.approx([FRAME_S] * 100, abs=EARLY_S + 1e-6)


def test_a_frame_after_its_time_is_sent_at_once_and_delays_none_after_it() -> None:
    ear = Ear()
    ear.push(0.0, frame(1, 0))
    ear.push(0.3, frame(1, 1))
    ear.push(0.3, frame(1, 2))
    ear.push(0.4, frame(1, 20))
    ear.run(1)
    assert ear.at() == pytest.approx([0.1, 0.3, 0.3, 0.5], abs=1e-6)


def test_a_faster_path_moves_the_rest_of_the_talkspurt_earlier() -> None:
    ear = Ear()
    ear.push(0.05, frame(1, 0))
    for i in range(1, 5):
        ear.push(i * FRAME_S + (0.05 if i == 1 else 0.0), frame(1, i))
    ear.run(1)
    assert ear.at()[-1] == pytest.approx(0.1 + 4 * FRAME_S)


def test_an_echo_has_no_lead_and_is_sent_on_arrival() -> None:
    ear = Ear()
    for i in range(5):
        ear.push(i * FRAME_S, frame(1, i, lead_ms=0))
    assert ear.at() == pytest.approx([i * FRAME_S for i in range(5)])


def test_a_new_talkspurt_has_a_base_of_its_own() -> None:
    ear = Ear()
    ear.push(0.0, frame(1, 0))
    ear.push(5.0, *ahead(2, 0, 1))
    ear.run(6)
    assert ear.at() == pytest.approx([0.1, 5.1, 5.12])


def test_a_new_talkspurt_does_not_overtake_the_one_that_is_playing() -> None:
    ear = Ear()
    ear.push(0.0, *ahead(1, *range(10)))
    ear.push(0.0, *ahead(2, 0, 1, 2, due_ms=0))
    ear.run(1)
    assert [(number, index) for _, number, index in ear.sent] == [
        *((1, i) for i in range(10)),
        *((2, i) for i in range(3)),
    ]
    steps = [b - a for a, b in itertools.pairwise(ear.at())]
    assert steps == pytest.approx([FRAME_S] * 12, abs=1e-6)


def test_a_missing_frame_leaves_its_time_unfilled() -> None:
    ear = Ear()
    ear.push(0.0, *ahead(1, 0, 2))
    ear.playout.lost(1)
    ear.run(1)
    assert ear.at() == pytest.approx([0.1, 0.14])
    assert ear.playout.missing == 1


def test_a_flush_drops_what_waits_and_what_comes_late_but_not_the_next() -> None:
    ear = Ear()
    ear.push(0.0, *ahead(1, *range(10)), frame(2, 0))
    ear.run(0.15)
    assert len(ear.sent) == 3
    ear.playout.flush(1, 0.15)
    ear.push(0.155, frame(1, 10))
    ear.run(1)
    assert [number for _, number, _ in ear.sent] == [1, 1, 1, 2]
    assert ear.at()[-1] == pytest.approx(0.16)


def test_a_talkspurt_cut_while_it_sounds_ends_in_a_hush_on_the_same_clock() -> None:
    ear = Ear()
    ear.push(0.0, *ahead(1, *range(10)))
    ear.run(0.15)
    ear.playout.flush(1, 0.15)
    ear.run(1)
    count = 3 + HUSH_FRAMES
    assert [(number, index) for _, number, index in ear.sent] == [
        (1, i) for i in range(count)
    ]
    assert ear.at() == pytest.approx([0.1 + i * FRAME_S for i in range(count)])


def test_a_hush_is_not_counted_as_heard() -> None:
    ear = Ear()
    ear.push(0.0, *ahead(1, *range(10)))
    ear.run(0.15)
    ear.playout.flush(1, 0.15)
    ear.run(1)
    assert ear.playout.heard(2.0) == (1, 3 * FRAME_SAMPLES)


def test_a_flush_answers_with_all_that_was_sent_though_it_is_under_way() -> None:
    ear = Ear()
    ear.playout.under_way_s = 0.2
    ear.push(0.0, *ahead(1, *range(10), due_ms=0))
    ear.run(0.05)
    assert len(ear.sent) == 3
    assert ear.playout.heard(0.05) == (1, 0)
    assert ear.playout.flush(1, 0.05) == (1, 3 * FRAME_SAMPLES)
    assert ear.playout.flush(1, 0.5) == (1, 3 * FRAME_SAMPLES)
    assert ear.playout.heard(1.0) == (1, 3 * FRAME_SAMPLES)


def test_what_the_link_lost_before_a_flush_counts_up_to_the_last_frame_sent() -> None:
    ear = Ear()
    ear.push(0.0, *ahead(1, 0, 1, 3, 6, due_ms=0))
    ear.run(0.07)
    assert ear.playout.flush(1, 0.11) == (1, 4 * FRAME_SAMPLES)


def test_of_a_talkspurt_flushed_before_its_first_frame_nothing_is_heard() -> None:
    ear = Ear()
    ear.push(0.0, *ahead(1, 0, 1, due_ms=0))
    ear.push(0.5, *ahead(2, 0, 1, due_ms=50))
    assert ear.playout.flush(2, 0.52) == (1, 2 * FRAME_SAMPLES)
    ear.run(1)
    assert {number for _, number, _ in ear.sent} == {1}


def test_what_is_said_next_takes_the_place_of_a_hush() -> None:
    ear = Ear()
    ear.push(0.0, *ahead(1, *range(10)))
    ear.run(0.15)
    ear.playout.flush(1, 0.15)
    ear.push(0.17, frame(2, 0, lead_ms=0))
    ear.run(1)
    assert [number for _, number, _ in ear.sent] == [1, 1, 1, 1, 2]
    assert ear.at()[-1] == pytest.approx(0.18)


def test_what_is_over_is_not_hushed() -> None:
    ear = Ear()
    ear.push(0.0, frame(1, 0))
    ear.run(0.3)
    ear.playout.flush(1, 0.3)
    assert ear.playout.next_due() == math.inf
    assert Playout().flush(1, 0.0) == (0, 0)


def test_a_flush_of_what_is_yet_to_come_is_remembered() -> None:
    playout = Playout()
    assert playout.flush(3, 0.0) == (0, 0)
    playout.push(frame(3, 0), 0.0)
    assert playout.next_due() == math.inf
    playout.push(frame(4, 0), 0.0)
    assert playout.next_due() == pytest.approx(0.1)


def test_what_is_out_of_order_empty_or_doubled_is_dropped() -> None:
    playout = Playout()
    for item in (
        frame(2, 5),
        frame(2, 5),
        frame(2, 4),
        frame(1, 9),
        DownFrame(2, 9000, 0, b""),
    ):
        playout.push(item, 0.0)
    assert playout.dropped == 4


@pytest.mark.parametrize("position", [MAX_POSITION_SAMPLES + 1, (1 << 63) - 1])
def test_a_position_no_talkspurt_gets_to_is_dropped(position: int) -> None:
    ear = Ear()
    ear.push(1.0, frame(1, 0, 0), DownFrame(1, position, 0, SILENCE), frame(1, 1, 20))
    ear.run(2.0)
    assert [index for _, _, index in ear.sent] == [0, 1]
    assert ear.playout.dropped == 1


def test_no_more_than_two_seconds_wait_and_no_lead_is_longer() -> None:
    playout = Playout()
    playout.push(frame(1, 0, lead_ms=3_600_000), 0.0)
    assert playout.next_due() == pytest.approx(2.0)
    for i in range(1, MAX_WAITING_FRAMES + 10):
        playout.push(frame(1, i), 0.0)
    assert playout.dropped == 10


def heard_at(ear: Ear, now: float) -> int:
    ear.run(now)
    return ear.playout.heard(now)[1]


def test_nothing_is_heard_before_anything_is_sent() -> None:
    playout = Playout()
    playout.push(frame(1, 0), 0.0)
    assert playout.heard(0.05) == (0, 0)


def test_what_is_heard_goes_on_in_real_time_and_ends_with_what_was_sent() -> None:
    ear = Ear()
    ear.push(0.0, *ahead(1, *range(5), due_ms=0))
    assert heard_at(ear, 0.05) == pytest.approx(0.05 * SAMPLE_RATE_HZ, abs=20)
    assert heard_at(ear, 9.0) == 5 * FRAME_SAMPLES


def test_what_is_under_way_was_not_heard() -> None:
    ear = Ear()
    ear.playout.under_way_s = 0.03
    ear.push(0.0, *ahead(1, *range(5), due_ms=0))
    assert heard_at(ear, 0.02) == 0
    assert heard_at(ear, 0.08) == pytest.approx(0.05 * SAMPLE_RATE_HZ, abs=20)


def test_frames_sent_late_in_one_go_are_heard_in_real_time() -> None:
    ear = Ear()
    ear.push(0.0, frame(1, 0, lead_ms=0))
    for i in range(1, 6):
        ear.push(0.5, frame(1, i, lead_ms=0))
    assert heard_at(ear, 0.5) == pytest.approx(FRAME_SAMPLES, abs=1)
    assert heard_at(ear, 0.54) == pytest.approx(3 * FRAME_SAMPLES, abs=1)


@given(
    seed=st.integers(0, 2**32),
    lead_ms=st.integers(0, 200),
    jitter_s=st.floats(0, 0.3),
    loss=st.floats(0, 0.5),
    under_way_s=st.floats(0, 0.2),
)
def test_each_frame_is_sent_once_in_order_and_what_is_heard_never_goes_back(
    seed: int, lead_ms: int, jitter_s: float, loss: float, under_way_s: float
) -> None:
    rng = random.Random(seed)
    ear = Ear()
    ear.playout.under_way_s = under_way_s
    now = 0.0
    pushed = []
    best = math.inf
    heard = (0, 0)
    for i in range(120):
        talkspurt, index = 1 + i // 40, i % 40
        now = max(now, i * FRAME_S + rng.uniform(0, jitter_s))
        if rng.random() < loss:
            continue
        ear.push(now, frame(talkspurt, index, lead_ms))
        pushed.append((talkspurt, index))
        best = min(best, now - i * FRAME_S)
        latest = ear.playout.heard(now)
        assert latest >= heard
        heard = latest
    ear.run(now + 10)
    assert [(number, index) for _, number, index in ear.sent] == pushed
    for at, number, index in ear.sent:
        i = (number - 1) * 40 + index
        assert at <= i * FRAME_S + jitter_s + lead_ms / 1000 + EARLY_S
