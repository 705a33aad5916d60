"""Which workers are to run, and what follows from the end of one; no process is here.

    starting ──up──► running ──told──► ending ──all have ended──► over
        └──────ends before it ever was up: all are to end, failed──┘
A worker that ends while running is replaced after a pause, which doubles for as long as
the replacements do not last.
"""

import enum
import math
from typing import Final, NamedTuple

FIRST_PAUSE_S: Final = 0.1
"""Seconds from a worker's end to the start of the next."""

LONGEST_PAUSE_S: Final = 5.0
"""Seconds that the pause grows to: a fault that passes is noticed soon after."""

STEADY_S: Final = 10.0
"""Seconds after which a worker has lasted: the next pause is the first again."""


class Verdict(enum.Enum):
    """What follows from the end of a process."""

    NOTHING = "it was none of ours, or it was told to end"
    REPLACE = "another takes its place"
    GIVE_UP = "it never was up: all the others are to end"


class _Running(NamedTuple):
    worker: int
    since_s: float


class Crew:
    """The workers of a service.

    Args:
        workers: How many there are to be.

    Attributes:
        is_ending: None is replaced any more.
        has_failed: One could not start, or did not end well when told to.
    """

    def __init__(self, workers: int) -> None:
        self.is_ending = False
        self.has_failed = False
        self._running: dict[int, _Running] = {}
        self._due_s = dict.fromkeys(range(workers), 0.0)
        self._pause_s = dict.fromkeys(range(workers), FIRST_PAUSE_S)
        self._was_up: set[int] = set()

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to do."""
        return self.is_ending and not self._running

    def worker_of(self, pid: int) -> int | None:
        """Return which worker a process is; None: none of ours."""
        running = self._running.get(pid)
        return None if running is None else running.worker

    def process_of(self, worker: int) -> int | None:
        """Return which process a worker is; None: it does not run."""
        for pid, running in self._running.items():
            if running.worker == worker:
                return pid
        return None

    def due(self, now: float) -> list[int]:
        """Return the workers that are to be started now."""
        if self.is_ending:
            return []
        return [worker for worker, due_s in self._due_s.items() if due_s <= now]

    def wait_s(self, now: float) -> float:
        """Return the seconds until one is to be started; infinite: none waits."""
        if self.is_ending or not self._due_s:
            return math.inf
        return max(0.0, min(self._due_s.values()) - now)

    def started(self, worker: int, pid: int, now: float) -> None:
        """Take note of a worker's process."""
        del self._due_s[worker]
        self._running[pid] = _Running(worker, now)

    def ended(self, pid: int, code: int, now: float, *, was_up: bool) -> Verdict:
        """Take note of the end of a process.

        Args:
            pid: Of any process.
            code: As it exited; negative: killed by that signal.
            now: When.
            was_up: Whether it had begun to serve.
        """
        running = self._running.pop(pid, None)
        if running is None:
            return Verdict.NOTHING
        if self.is_ending:
            self.has_failed |= code != 0
            return Verdict.NOTHING
        worker = running.worker
        if was_up:
            self._was_up.add(worker)
        if worker not in self._was_up:
            self.is_ending = self.has_failed = True
            return Verdict.GIVE_UP
        if now - running.since_s >= STEADY_S:
            self._pause_s[worker] = FIRST_PAUSE_S
        self.postpone(worker, now)
        return Verdict.REPLACE

    def postpone(self, worker: int, now: float) -> None:
        """Have one that does not run started after a pause, each longer than before."""
        self._due_s[worker] = now + self._pause_s[worker]
        self._pause_s[worker] = min(2 * self._pause_s[worker], LONGEST_PAUSE_S)

    def end(self) -> None:
        """Replace none any more: they have been told to end."""
        self.is_ending = True
