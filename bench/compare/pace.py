"""How fast the cores were between two moments, by a piece of work always the same.

A virtual core is up to twice as slow while its host has other work for the silicon
beneath, for seconds at a time, and nothing in the machine tells (measured: the piece
took 3.3 to 7.2 ms, and a server beside it up to 1.3 times its CPU, second by second in
step with it: correlation 0.94). What is measured then is of another machine than the
row above. So what keeps a core awake notes what each piece took, all the time and in
the very gaps that a server leaves it.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np

NOTE: Final = np.dtype([("ended_s", "f8"), ("took_s", "f8")])
"""When a piece of work ended, seconds of the wall clock, and the CPU it took."""

BEST_PERCENT: Final = 2
"""Of all pieces, how many took less than what counts as a core's best."""


class Pace:
    """The pace of some cores.

    Args:
        notes: A file for each core, of any number of `NOTE`.
    """

    def __init__(self, notes: Iterable[Path]) -> None:
        self._notes = tuple(notes)

    def slowness(self, from_s: float, to_s: float) -> float:
        """Return how many times as long as at best work took, on the slowest core.

        Each second counts alike, however little of it a server left over. One of which
        it left nothing is not known; of no second known, it is 0.

        Args:
            from_s: Seconds of the wall clock.
            to_s: Likewise; only pieces that ended in between count.
        """
        return max((_slowness(path, from_s, to_s) for path in self._notes), default=0.0)


def _slowness(path: Path, from_s: float, to_s: float) -> float:
    notes = np.fromfile(path, NOTE)
    inside = notes[(notes["ended_s"] >= from_s) & (notes["ended_s"] <= to_s)]
    if not len(inside):
        return 0.0
    _, second = np.unique(inside["ended_s"].astype(np.int64), return_inverse=True)
    means_s = np.bincount(second, inside["took_s"]) / np.bincount(second)
    return float(means_s.mean() / np.percentile(notes["took_s"], BEST_PERCENT))
