"""Is the peer there, and how far away (PROTOCOL.md 9).

Both ends send a PING every 100 ms. Any authentic, new datagram is a sign of life; after
700 ms without one the peer is dead: about 7 PINGs and 7 PONGs were lost in a row. An
end that was itself asleep gives its peer time to be heard before it judges.
"""

from typing import Final

from proto.fields import LivenessFields
from proto.messages import Ping, Pong
from proto.stats import Jitter, Rtt

PING_INTERVAL_S: Final = 0.1
"""Pause between PINGs: 40 small datagrams a second and link, both ends together."""

DEAD_AFTER_S: Final = 0.7
"""Silence after which the peer is dead."""

_ASLEEP_S: Final = 0.1
"""A timer so much too late tells that this process did not run."""

_MAX_UNANSWERED: Final = 16
"""PINGs remembered; the oldest is forgotten. More than fit in `DEAD_AFTER_S`."""


class Liveness(LivenessFields):
    """Sends PINGs, judges silence, measures round-trip time and jitter."""

    def __init__(self, rtt: Rtt, now: float) -> None:
        self.heard_at = now
        self.jitter = Jitter()
        self.deadline = now
        self._rtt = rtt
        self._number = 0
        self._sent_at: dict[int, float] = {}

    def is_dead(self, now: float) -> bool:
        """Tell whether the peer has been silent for too long."""
        if now - self.deadline > _ASLEEP_S:
            self.heard_at = max(self.heard_at, now - DEAD_AFTER_S + 2 * PING_INTERVAL_S)
        return now - self.heard_at >= DEAD_AFTER_S

    def ping(self, now: float) -> Ping:
        """Return the PING that is due, and set the next."""
        self.deadline = now + PING_INTERVAL_S
        self._number += 1
        self._sent_at[self._number] = now
        self._sent_at.pop(self._number - _MAX_UNANSWERED, None)
        return Ping(self._number, int(now * 1e6))

    def pinged(self, ping: Ping, now: float) -> Pong:
        """Answer a PING."""
        self.jitter.arrived(ping.sent_us / 1e6, now)
        return Pong(ping.number)

    def ponged(self, pong: Pong, now: float) -> None:
        """Take an answer; one not asked for, or had before, counts nothing."""
        sent_at = self._sent_at.pop(pong.number, None)
        if sent_at is not None:
            self._rtt.measured(now - sent_at)
