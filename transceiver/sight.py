"""What is seen of one call: its set-up, its audio's way through the edge, its trace.

    call    the whole, from the offer to the end
    offer   HTTP request ► answer
    session asked for ► taken by the relay; again for each relay that is asked
    ice     answer ► the caller has been found
    dtls    that ► audio could flow
The relay adds the session and its turns.
"""

import time
from collections.abc import Callable, Mapping

from runtime.stages import Observe, Stopwatch
from runtime.traces import UNTOLD, Steps

CALL, OFFER, SESSION, ICE, DTLS = "call", "offer", "session", "ice", "dtls"
"""Spans."""

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
        unheard: Takes what the caller had got and is not taken to have heard, seconds.
        trace: The call as spans.

    Attributes:
        uplink: Times packets, named by their RTP timestamps.
        downlink: Times frames, named by their positions.
        trace: The call as spans.
        unheard: As given.
    """

    def __init__(
        self,
        stages: Mapping[str, Observe] | None = None,
        set_up: Mapping[str, Observe] | None = None,
        clock: Callable[[], float] = time.perf_counter,
        trace: Steps | None = None,
        unheard: Observe | None = None,
    ) -> None:
        stages = stages or {}
        self.trace = trace or Steps()
        self.unheard = unheard or _ignore
        uplink, downlink = stages.get(UPLINK), stages.get(DOWNLINK)
        self.uplink = Stopwatch(self._noting("first audio up", uplink), clock)
        self.downlink = Stopwatch(self._noting("first audio down", downlink), clock)
        self._set_up = dict(set_up or {})
        self._clock = clock
        self._began_s = clock()

    def reached(self, until: str) -> None:
        """Note how far set-up has come; only the first time counts."""
        observe = self._set_up.pop(until, None)
        if observe is not None:
            observe(self._clock() - self._began_s)

    def _noting(self, first: str, observe: Observe | None) -> Observe | None:
        """Have the trace tell of the first that is timed: the first of all."""
        if observe is None or self.trace.span is UNTOLD:
            return observe
        waits = [first]

        def observe_and_note(seconds: float) -> None:
            observe(seconds)
            if waits:
                self.trace.span.note(waits.pop())

        return observe_and_note


def _ignore(_: float) -> None:
    """Take a figure that nobody asks for."""
