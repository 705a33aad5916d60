"""What is measured of one call: its set-up, and its audio's way through the edge."""

import time
from collections.abc import Callable, Mapping

from runtime.stages import Observe, Stopwatch

ANSWER, MEDIA = UNTIL = ("answer", "media")
"""The offer is answered; audio can flow both ways."""

UPLINK, DOWNLINK, LINK = STAGES = ("edge_uplink", "edge_downlink", "link")
"""Packet received to frame handed to the link; frame received to packet sent, without
its lead; one way over the link."""


class Sight:
    """Nothing is measured, unless told otherwise.

    Args:
        stages: Take the delays of `STAGES`, seconds.
        set_up: Take how long set-up lasted `UNTIL`, seconds.
        clock: Tells seconds.

    Attributes:
        uplink: Times packets, named by their RTP timestamps.
        downlink: Times frames, named by their positions.
    """

    def __init__(
        self,
        stages: Mapping[str, Observe] | None = None,
        set_up: Mapping[str, Observe] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        stages = stages or {}
        self.uplink = Stopwatch(stages.get(UPLINK), clock)
        self.downlink = Stopwatch(stages.get(DOWNLINK), clock)
        self._set_up = dict(set_up or {})
        self._clock = clock
        self._began_s = clock()

    def reached(self, until: str) -> None:
        """Note how far set-up has come; only the first time counts."""
        observe = self._set_up.pop(until, None)
        if observe is not None:
            observe(self._clock() - self._began_s)
