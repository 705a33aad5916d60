"""What calls heard between two moments, and which of them are lost. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from bench.load import hear
from bench.load.line import Log

SILENT_NS = 1_000_000_000
"""A call that has heard nothing for so long in the end is lost."""


class Heard(NamedTuple):
    """One call, whose callers speak all the time.

    Attributes:
        is_over: Whether it was ended, or told of an error.
    """

    log: Log
    is_over: bool


class Figures(NamedTuple):
    """What some calls heard.

    Attributes:
        lost: Calls that are over, or hear nothing any more.
        longest_gap_ms: The longest wait for a packet, of any call.
        returned: Packets received over frames sent.
    """

    calls: int
    lost: int
    longest_gap_ms: float
    returned: float


def figures(calls: Iterable[Heard], from_ns: int, to_ns: int) -> Figures:
    """Work out what calls heard between two moments of the wall clock."""
    counted = lost = received = sent = longest_ns = 0
    for log, is_over in calls:
        arrived = np.array(log.arrived_ns, np.int64)
        inside = np.sort(arrived[(arrived >= from_ns) & (arrived < to_ns)])
        waits_ns = np.diff(np.concatenate([[from_ns], inside, [to_ns]]))
        counted += 1
        lost += is_over or int(waits_ns[-1]) > SILENT_NS
        longest_ns = max(longest_ns, int(waits_ns.max()))
        received += hear.flow(log, from_ns, to_ns).received
        sent += hear.sent_between(log, from_ns, to_ns)
    share = received / sent if sent else 0.0
    return Figures(counted, lost, longest_ns / 1e6, share)
