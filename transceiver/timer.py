"""One loop timer for all calls of a process: a heap of absolute deadlines.

A timer handle per call and frame costs the loop more than the frame's header; one
handle, armed for the nearest deadline, wakes whoever is due in one batch. Deadlines are
absolute, so lateness of the loop never adds up.
"""

import heapq
import math
from collections.abc import Callable
from typing import Protocol

EARLY_S = 0.0005
"""Seconds a deadline may be met early to share a wake-up: half of uvloop's grain."""


class Handle(Protocol):
    """What is used of a loop's timer handle."""

    def cancel(self) -> None:
        """Never call back."""
        ...


class Loop(Protocol):
    """What is used of the event loop."""

    def time(self) -> float:
        """Return monotonic seconds."""
        ...

    def call_at(self, when: float, callback: Callable[[], object]) -> Handle:
        """Call back at that time."""
        ...


class Alarm:
    """One owner's place on the shared timer: calls back once, at its latest deadline.

    Attributes:
        deadline: When it will ring, seconds; infinite: not set.
    """

    __slots__ = ("_timer", "callback", "deadline", "queued_for")

    def __init__(self, timer: "SharedTimer", callback: Callable[[float], None]) -> None:
        self._timer = timer
        self.callback = callback
        self.deadline = math.inf
        self.queued_for = math.inf

    def set(self, deadline: float) -> None:
        """Ring at `deadline` instead of whenever it was; infinity: not at all."""
        self.deadline = deadline
        if deadline < self.queued_for:
            self._timer.queue(self)

    def drop(self) -> None:
        """Never ring again, and let the owner go, who would wait for a collection."""
        self.deadline = math.inf
        self.callback = _unheard


def _unheard(_: float) -> None:
    """Stand where an owner was."""


class SharedTimer:
    """The heap of all alarms; `now` returns the loop's time, seconds.

    An alarm moved to a later time keeps its entry, which is put right when it comes up;
    moved earlier, it gets a second one. So an alarm has at most one entry for each time
    it was moved earlier since, and moving it later is free.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.now = loop.time
        self._heap: list[tuple[float, int, Alarm]] = []
        self._count = 0
        self._handle: Handle | None = None
        self._armed_for = math.inf

    def alarm(self, callback: Callable[[float], None]) -> Alarm:
        """Return a new alarm, not set.

        Args:
            callback: Gets the time, never before its deadline; runs in the loop.
        """
        return Alarm(self, callback)

    def queue(self, alarm: Alarm) -> None:
        """Enter an alarm at its deadline (called by the alarm)."""
        alarm.queued_for = alarm.deadline
        self._count += 1
        heapq.heappush(self._heap, (alarm.deadline, self._count, alarm))
        if alarm.deadline < self._armed_for:
            self._arm()

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._armed_for = math.inf
        if self._heap:
            self._armed_for = self._heap[0][0]
            self._handle = self._loop.call_at(self._armed_for, self._ring)

    def _ring(self) -> None:
        self._handle = None
        self._armed_for = -math.inf  # no arming while alarms ring
        now = self._loop.time()
        try:
            self._ring_due(now)
        finally:  # whatever one callback raises, the others get their turn
            self._arm()

    def _ring_due(self, now: float) -> None:
        heap, horizon, newest = self._heap, now + EARLY_S, self._count
        while heap and heap[0][0] <= horizon and heap[0][1] <= newest:
            entered_for, _, alarm = heapq.heappop(heap)
            if entered_for != alarm.queued_for:
                continue  # moved earlier since; that entry stands
            alarm.queued_for = math.inf
            if alarm.deadline <= horizon:
                due, alarm.deadline = alarm.deadline, math.inf
                alarm.callback(max(now, due))
            elif alarm.deadline < math.inf:
                self.queue(alarm)
