"""Which workers hang: alive, but with a loop that does not turn. Pure.

A worker's loop counts its beats in the table that all see. The supervisor looks as
often, and counts looks without a beat, not seconds: when the whole machine has stood
still, or the container was frozen, it has not looked either.

    no beats yet ──first──► beating ──so many looks without a beat──► hangs
       │ ▲                     └──rests, or is replaced──┐              ▲
       │ └───────────────────────────────────────────────┘              │
       └──────────────────────── many more looks ───────────────────────┘
Before its first beat a worker starts, when it rests it ends: both may take longer. Once
all have been told to end, fewer looks are enough.
"""

from collections.abc import Sequence
from typing import Final

BEAT_S: Final = 1.0
"""Seconds between two beats, and between two looks."""

STILL_LOOKS: Final = 10
"""Looks in a row without a beat: nobody speaks on with a call that was mute for 10 s. A
loop that is only overloaded turns within a fraction of a second."""

ENDING_LOOKS: Final = 5
"""Looks in a row once all have been told to end: Docker kills who has not ended after
10 s, and no rush of callers keeps a loop busy any more: none are let in."""

SLOW_LOOKS: Final = 60
"""Looks in a row at one that starts or ends: a second's work, and nobody's call waits
for it, but one that never comes to its end holds a place that no other takes."""


class Pulse:
    """What the supervisor has seen of each worker's beats.

    Args:
        workers: How many there are.
    """

    def __init__(self, workers: int) -> None:
        self._beats: list[int | None] = [None] * workers
        self._still = [0] * workers
        self._hanging: set[int] = set()
        self._look_at = 0.0

    def wait_s(self, now: float) -> float:
        """Return the seconds until the next look."""
        return max(0.0, self._look_at - now)

    def started(self, worker: int) -> None:
        """Take note that a worker is another process now."""
        self._beats[worker] = None
        self._still[worker] = 0

    def look(
        self, beats: Sequence[int | None], now: float, *, are_ending: bool = False
    ) -> list[int]:
        """Return the workers that hang, each once.

        Args:
            beats: Of each worker; None: it starts or ends.
            now: When; before it is time for a look, nothing is seen.
            are_ending: All have been told to end, or to drain.
        """
        if now < self._look_at:
            return []
        self._look_at = now + BEAT_S
        before, self._hanging = self._hanging, set()
        patience = ENDING_LOOKS if are_ending else STILL_LOOKS
        for worker, counted in enumerate(beats):
            is_still = counted == self._beats[worker]
            self._still[worker] = self._still[worker] + 1 if is_still else 0
            if self._still[worker] >= (SLOW_LOOKS if counted is None else patience):
                self._hanging.add(worker)
        self._beats[:] = beats
        return sorted(self._hanging - before)
