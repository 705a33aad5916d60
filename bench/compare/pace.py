"""How fast a core was between two moments, by a piece of work always the same.

A virtual core is up to twice as slow while its host has other work for the silicon
beneath, for seconds at a time, and nothing in the machine tells (measured: a server
took up to 1.5 times its CPU for the same load, second by second in step with such a
piece of work beside it, correlation 0.92). What is measured then is of another machine
than the row above. So what keeps a core awake notes how long its pieces take, all the
time and in the very gaps that a server leaves.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

NOTE: Final = np.dtype([("at_s", "f8"), ("took_s", "f8")])
"""When it was made, by the wall clock, and the CPU that a piece of work took."""

BEST_PERCENT: Final = 10
"""Of all notes, how many are of less than what counts as a core's best: it is at its
very best for moments only."""


class Pace:
    """The pace of some cores.

    Args:
        notes: For each core a file of any number of `NOTE`.
    """

    def __init__(self, notes: Mapping[int, Path]) -> None:
        self._notes = notes

    def slowness(self, core: int, from_s: float, to_s: float) -> float:
        """Return how many times as long as at best work took.

        Each second counts alike, however little of it a server left over. One of which
        it left nothing is not known; of no second known, it is 0.

        Args:
            core: One of those noted.
            from_s: Seconds of the wall clock.
            to_s: Likewise; only notes made in between count.
        """
        return float(self._by_second(core, from_s, to_s).mean())

    def slowest(self, core: int, from_s: float, to_s: float) -> float:
        """Return what `slowness` is of the slowest second, which makes a delay's tail.

        Args:
            core: As there, likewise the others.
            from_s: Seconds of the wall clock.
            to_s: Likewise.
        """
        return float(self._by_second(core, from_s, to_s).max())

    def _by_second(self, core: int, from_s: float, to_s: float) -> NDArray[np.float64]:
        notes = np.fromfile(self._notes[core], NOTE)
        inside = notes[(notes["at_s"] >= from_s) & (notes["at_s"] <= to_s)]
        if not len(inside):
            return np.zeros(1)
        _, second = np.unique(inside["at_s"].astype(np.int64), return_inverse=True)
        means_s = np.bincount(second, inside["took_s"]) / np.bincount(second)
        return np.asarray(means_s / np.percentile(notes["took_s"], BEST_PERCENT))
