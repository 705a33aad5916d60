"""Puts the caller's packets in order, without a playout delay. Pure.

A packet in order leaves at once. One behind a gap waits for the gap to close, at most
as long as reordering has been seen to take lately; then the missing ones are given up
and it leaves with their number. Only packets behind a gap ever wait, so no loss, stall
or jump delays anything that comes later. Silence the sender did not send (DTX) leaves
no gap in its sequence numbers and is no loss here.
"""

import math
from typing import Generic, TypeVar

T = TypeVar("T")

INITIAL_WAIT_S = 0.020
"""Seconds a gap is waited for before anything is known: one packet's time."""

LEAST_WAIT_S = 0.010
"""Seconds it is waited for when nothing was out of order for long."""

LONGEST_WAIT_S = 0.060
"""Seconds it is never waited for longer: three packets' time."""

LEARNT_MARGIN = 1.25
"""How much longer than the worst lateness seen it is waited."""

DECAY_S = 10.0
"""Time constant in seconds with which lateness is forgotten."""

MAX_WAITING = 64
"""Packets behind a gap; one more gives the gap up at once, so nothing is dropped."""

MAX_REMEMBERED = 128
"""Packets given up whose lateness is still learnt from; the oldest is forgotten."""


class ReorderWindow(Generic[T]):
    """One stream's packets by extended sequence number.

    Call `passes`, or else `push` and then `pull`; `pull` when `deadline` has come, too.

    Attributes:
        deadline: When the gap being waited for is given up, seconds; infinite: no gap.
        lost: Packets given up, less those that then came too late.
        late: Packets that came after they were given up; dropped.
        duplicates: Packets that came twice; dropped.
    """

    __slots__ = (
        "_given_up",
        "_learnt_at",
        "_learnt_s",
        "_next",
        "_waiting",
        "deadline",
        "duplicates",
        "late",
        "lost",
    )

    def __init__(self) -> None:
        self.deadline = math.inf
        self.lost = 0
        self.late = 0
        self.duplicates = 0
        self._next: int | None = None
        self._waiting: dict[int, tuple[float, T]] = {}
        self._given_up: dict[int, float] = {}
        self._learnt_s = INITIAL_WAIT_S
        self._learnt_at: float | None = None

    def push(self, sequence: int, item: T, now: float) -> None:
        """Take a packet; `sequence` is extended over its wrap."""
        if self._next is None:
            self._next = sequence
        if self._learnt_at is None:
            self._learnt_at = now
        if sequence < self._next:
            self._count_old(sequence, now)
        elif sequence in self._waiting:
            self.duplicates += 1
        else:
            if self._waiting and sequence < max(self._waiting):
                self._learn(now - self._gap_noticed(), now)
            self._waiting[sequence] = (now, item)

    def passes(self, sequence: int) -> bool:
        """Take a packet that leaves at once, as most do, or else take nothing."""
        if sequence != self._next or self._waiting:
            return False
        self._next = sequence + 1
        return True

    def waiting(self, sequence: int) -> T | None:
        """Return the packet of that number if it waits for others."""
        entry = self._waiting.get(sequence)
        return None if entry is None else entry[1]

    def is_over(self, sequence: int) -> bool:
        """Tell whether that packet has left or been given up, or what came first."""
        return self._next is None or sequence < self._next

    def fill(self, sequence: int, item: T, now: float) -> None:
        """Take what stands for a missing packet: of the path it teaches nothing."""
        self._waiting[sequence] = (now, item)

    def pull(self, now: float) -> list[tuple[int, T]]:
        """Return what may leave, in order: (packets given up before it, packet)."""
        ready: list[tuple[int, T]] = []
        waiting = self._waiting
        while waiting and self._next is not None:
            given_up = 0
            entry = waiting.pop(self._next, None)
            if entry is None:
                noticed = self._gap_noticed()
                self.deadline = noticed + self._wait_s(now)
                if now < self.deadline and len(waiting) <= MAX_WAITING:
                    return ready
                given_up = self._give_up(noticed)
                entry = waiting.pop(self._next)
            self._next += 1
            ready.append((given_up, entry[1]))
        self.deadline = math.inf
        return ready

    def drain(self) -> list[tuple[int, T]]:
        """Return all that waits, and start over with whatever stream comes next.

        What was learnt about the path stays.
        """
        rest = self.pull(math.inf)
        self._next = None
        self._given_up.clear()
        return rest

    def _gap_noticed(self) -> float:
        return min(arrival for arrival, _ in self._waiting.values())

    def _give_up(self, noticed: float) -> int:
        assert self._next is not None
        first, self._next = self._next, min(self._waiting)
        count = self._next - first
        self.lost += count
        for sequence in range(max(first, self._next - MAX_REMEMBERED), self._next):
            self._given_up[sequence] = noticed
        while len(self._given_up) > MAX_REMEMBERED:
            del self._given_up[next(iter(self._given_up))]
        return count

    def _count_old(self, sequence: int, now: float) -> None:
        noticed = self._given_up.pop(sequence, None)
        if noticed is None:
            self.duplicates += 1
            return
        self.late += 1
        self.lost -= 1
        self._learn(now - noticed, now)

    def _learn(self, lateness_s: float, now: float) -> None:
        if lateness_s > LONGEST_WAIT_S:
            return  # waiting as long as we may would not have helped
        wait_s = min(lateness_s * LEARNT_MARGIN, LONGEST_WAIT_S)
        if wait_s > self._wait_s(now):
            self._learnt_s, self._learnt_at = wait_s, now

    def _wait_s(self, now: float) -> float:
        age_s = now - self._learnt_at if self._learnt_at is not None else 0.0
        faded = math.exp(-age_s / DECAY_S)
        return LEAST_WAIT_S + (self._learnt_s - LEAST_WAIT_S) * faded
