"""How fast the servers' core is just now, by a piece of work that is always the same.

A virtual machine's core is slower by a third while its host has other work for the
silicon beneath, and nothing in the machine tells (measured: the limit went from 2.9 ms
to 3.9). What is measured then is of another machine than the row above.
"""

import math
import os
import statistics

from bench.compare import limit
from bench.load import voice
from codec.opus import Encoding

PASSES = 5
"""Of 60 ms each; the median counts."""


class Pace:
    """The core's pace against the best it had so far.

    Args:
        core: Where the work is done.
        encoding: Whose limit the work is.
    """

    def __init__(self, core: int, encoding: Encoding) -> None:
        self._core = core
        self._encoding = encoding
        self._voice = voice.encode(voice.built_in())
        self._best_ms = math.inf

    def slowness(self) -> float:
        """Return how many times as long as at best the work takes now."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self._core})
        try:
            passes = [limit.cpu_ms(self._encoding, self._voice) for _ in range(PASSES)]
        finally:
            os.sched_setaffinity(0, before)
        now_ms = statistics.median(passes)
        self._best_ms = min(self._best_ms, now_ms)
        return now_ms / self._best_ms
