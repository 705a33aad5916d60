"""The uplink's reorder window, with a hand-written now."""

import math
import random

import pytest
from hypothesis import given, strategies as st

from transceiver.reorder import (
    INITIAL_WAIT_S,
    LEAST_WAIT_S,
    LONGEST_WAIT_S,
    MAX_REMEMBERED,
    MAX_WAITING,
    ReorderWindow,
)

PACKET_S = 0.02


class Path:
    """A window and all that came out of it."""

    def __init__(self) -> None:
        self.window: ReorderWindow[int] = ReorderWindow()
        self.out: list[tuple[int, int]] = []
        self.now = 0.0

    def arrive(self, *sequences: int, at: float | None = None) -> None:
        self.now = self.now if at is None else at
        for sequence in sequences:
            if self.window.passes(sequence):
                self.out.append((0, sequence))
            else:
                self.window.push(sequence, sequence, self.now)
                self.pull()

    def pull(self) -> None:
        self.out += self.window.pull(self.now)

    def wait(self) -> float:
        """Wait the gap out; returns how long that took, in seconds."""
        began, self.now = self.now, self.window.deadline
        self.pull()
        return self.now - began


def test_packets_in_order_leave_at_once() -> None:
    path = Path()
    for sequence in range(7, 20):
        path.arrive(sequence, at=sequence * PACKET_S)
        assert path.out[-1] == (0, sequence)
        assert path.window.deadline == math.inf


def test_a_gap_is_waited_for_and_then_given_up_with_its_size() -> None:
    path = Path()
    path.arrive(1, 2, 5)
    assert path.out == [(0, 1), (0, 2)]
    assert path.wait() == pytest.approx(INITIAL_WAIT_S)
    assert path.out[-1] == (2, 5)
    assert path.window.lost == 2


def test_a_gap_that_closes_in_time_is_no_loss() -> None:
    path = Path()
    path.arrive(1, 4, 3, 2)
    assert path.out == [(0, 1), (0, 2), (0, 3), (0, 4)]
    assert (path.window.lost, path.window.deadline) == (0, math.inf)


def test_packets_behind_one_gap_do_not_wait_longer_for_a_second_one() -> None:
    path = Path()
    path.arrive(1, 3, at=0.0)
    path.arrive(5, at=0.015)
    assert path.window.deadline == pytest.approx(0.02, abs=0.001)
    path.wait()
    assert path.out == [(0, 1), (1, 3)]
    assert path.window.deadline == pytest.approx(0.035, abs=0.001)


def test_after_a_gap_packets_leave_at_once_again() -> None:
    path = Path()
    path.arrive(1, 3)
    path.wait()
    path.arrive(4)
    path.arrive(5)
    assert path.out[-2:] == [(0, 4), (0, 5)]


def test_what_comes_twice_or_too_late_is_dropped_and_told_apart() -> None:
    path = Path()
    path.arrive(1, 3)
    path.wait()
    path.arrive(2, 2, 3, 1)
    assert path.out == [(0, 1), (1, 3)]
    assert (path.window.late, path.window.duplicates) == (1, 3)
    assert path.window.lost == 0


def test_a_duplicate_that_waits_leaves_once() -> None:
    path = Path()
    path.arrive(1, 3, 3, 2)
    assert path.out == [(0, 1), (0, 2), (0, 3)]
    assert path.window.duplicates == 1


def test_lateness_that_was_seen_is_waited_for_the_next_time() -> None:
    path = Path()
    path.arrive(1, 3)
    path.wait()
    path.arrive(2, at=path.now + 0.015)  # 35 ms after its gap was noticed
    path.arrive(4, 6)
    assert path.wait() == pytest.approx(0.035 * 1.25, abs=0.001)


def test_lateness_is_learnt_from_gaps_that_closed_too() -> None:
    path = Path()
    path.arrive(1, 3)
    path.arrive(2, at=0.019)
    path.arrive(5)
    assert path.wait() == pytest.approx(0.019 * 1.25, abs=0.001)


def test_no_gap_is_waited_for_longer_than_the_bound() -> None:
    path = Path()
    path.arrive(1, 3)
    path.wait()
    path.arrive(2, at=0.055)
    path.arrive(5)
    assert LONGEST_WAIT_S - 0.002 < path.wait() <= LONGEST_WAIT_S


def test_what_is_too_late_for_any_wait_teaches_nothing() -> None:
    path = Path()
    path.arrive(1, 3)
    path.wait()
    path.arrive(2, at=path.now + 5.0)
    path.arrive(5)
    assert path.wait() <= INITIAL_WAIT_S


def test_a_path_that_keeps_order_is_trusted_more_with_time() -> None:
    path = Path()
    path.arrive(1)
    path.arrive(2, 4, at=100.0)
    assert path.wait() == pytest.approx(LEAST_WAIT_S, abs=0.001)


def test_a_full_window_gives_the_gap_up_and_drops_nothing() -> None:
    path = Path()
    path.arrive(0, *range(2, MAX_WAITING + 3))
    assert path.out[1] == (1, 2)
    assert len(path.out) == MAX_WAITING + 2


def test_what_stands_for_a_missing_packet_lets_the_others_leave() -> None:
    path = Path()
    path.arrive(1, 4)
    path.window.fill(3, 3, path.now)
    path.window.fill(2, 2, path.now)
    path.pull()
    assert path.out == [(0, 1), (0, 2), (0, 3), (0, 4)]
    assert (path.window.lost, path.window.deadline) == (0, math.inf)
    path.arrive(3)
    assert path.window.duplicates == 1


def test_it_is_told_what_waits_and_what_is_over() -> None:
    path = Path()
    assert path.window.is_over(1)
    path.arrive(1, 4)
    assert [path.window.is_over(sequence) for sequence in (1, 2, 4)] == [
        *(True, False, False)
    ]
    assert [path.window.waiting(sequence) for sequence in (3, 4)] == [None, 4]


def test_what_was_filled_teaches_nothing_of_the_path() -> None:
    path = Path()
    path.arrive(1, 3)
    path.window.fill(2, 2, 0.019)
    path.pull()
    path.arrive(5, at=0.02)
    assert path.wait() <= INITIAL_WAIT_S


def test_a_huge_gap_costs_no_memory() -> None:
    path = Path()
    path.arrive(0, 30_000)
    path.wait()
    assert path.out[-1] == (29_999, 30_000)
    assert len(path.window._given_up) == MAX_REMEMBERED


def test_draining_hands_over_what_waits_and_starts_anew() -> None:
    path = Path()
    path.arrive(100, 102)
    assert path.window.drain() == [(1, 102)]
    path.arrive(5, 6)
    assert path.out[-2:] == [(0, 5), (0, 6)]


@given(
    seed=st.integers(0, 2**32),
    start=st.integers(0, 2**20),
    loss=st.floats(0, 1),
    doubled=st.floats(0, 1),
    spread_s=st.floats(0, 0.5),
)
def test_each_packet_leaves_once_in_order_soon_or_is_counted(
    seed: int, start: int, loss: float, doubled: float, spread_s: float
) -> None:
    rng = random.Random(seed)
    arrivals = [
        (i * PACKET_S + rng.uniform(0, spread_s), start + i)
        for i in range(150)
        for _ in range(2 if rng.random() < doubled else 1)
        if rng.random() >= loss
    ]
    path = Path()
    arrived: dict[int, float] = {}
    for at, sequence in sorted(arrivals):
        while path.window.deadline < at:
            path.wait()
        arrived.setdefault(sequence, at)
        before = len(path.out)
        path.arrive(sequence, at=at)
        for _, departed in path.out[before:]:
            assert at - arrived[departed] <= LONGEST_WAIT_S + 1e-9
        assert len(path.window._waiting) <= MAX_WAITING
    while path.window.deadline < math.inf:
        path.wait()
    left = [sequence for _, sequence in path.out]
    assert left == sorted(set(left))
    if left:
        skipped = sum(given_up for given_up, _ in path.out)
        assert left[-1] - left[0] + 1 == len(left) + skipped
        assert path.window.lost == skipped - path.window.late
    window = path.window
    assert len(arrivals) == len(left) + window.late + window.duplicates
