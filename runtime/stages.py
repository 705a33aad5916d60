"""How long frames take through each stage of a service: one in fifty is timed.

A stage begins where something comes in and ends where it goes out again, in the same
callback or a later one. Timing every frame would cost more than some stages do; one a
second of each call shows the same distribution.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Histogram

EVERY: Final = 50
"""Frames, of which one is timed: one second's."""

BOUNDS_S: Final = (
    *(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005),
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
)
"""Work alone is below 0.001; above it something waited."""

Observe = Callable[[float], None]


class Stopwatch:
    """Times one in fifty of what passes one stage of one call.

    The hot path calls `begin` for what comes in; where it goes out, it calls `end` if
    `key` is that of what goes. What never goes out is not timed.

    Attributes:
        key: Names what is being timed, as its owner numbers it; None: nothing is.
    """

    __slots__ = ("_began_s", "_clock", "_every", "_left", "_observe", "key")

    def __init__(
        self,
        observe: Observe | None = None,
        clock: Callable[[], float] | None = None,
        every: int = EVERY,
    ) -> None:
        """Time one in `every` for `observe`; None: nothing is ever timed."""
        self.key: int | None = None
        self._observe = observe
        self._clock = clock or time.perf_counter
        self._every = every
        self._left = 1  # the first is timed, so that short calls show, too
        self._began_s = 0.0

    def begin(self, key: int, allowed_ms: int = 0) -> None:
        """Take note of what comes in.

        Args:
            key: What `key` shall be if it is timed.
            allowed_ms: How long it is to be held, which is no delay.
        """
        self._left -= 1
        if self._left or self._observe is None:
            return
        self._left = self._every
        self.key = key
        self._began_s = self._clock() + allowed_ms / 1000

    def end(self) -> None:
        """What is being timed goes out."""
        self.key = None
        if self._observe is not None:
            self._observe(max(0.0, self._clock() - self._began_s))


class Stages:
    """The stages of a service, for its registry.

    Args:
        registry: Shows them as `tandem_stage_seconds`.
        names: All there are.

    Attributes:
        observers: Take the delays of each, seconds.
    """

    def __init__(self, registry: CollectorRegistry, names: Iterable[str]) -> None:
        histogram = Histogram(
            "tandem_stage_seconds",
            "Delay that a stage of the path adds, of one frame in fifty.",
            ["stage"],
            buckets=BOUNDS_S,
            registry=registry,
        )
        self.observers: Mapping[str, Observe] = {
            name: histogram.labels(name).observe for name in names
        }
