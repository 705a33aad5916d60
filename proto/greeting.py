"""A dialer's attempt at a link: what to say again, and until when (PROTOCOL.md 3)."""

from typing import Final

RETRY_S: Final = 0.1
"""First pause before a HELLO or FINISH is sent again; doubled each time."""

TIMEOUT_S: Final = 3.0
"""How long a dialer tries before it gives up this attempt."""


class Greeting:
    """Repeats one datagram at a time."""

    def __init__(self, datagram: bytes, now: float) -> None:
        self.datagram = datagram
        self._ends_at = now + TIMEOUT_S
        self._said_at = now
        self._pause_s = RETRY_S

    def now_say(self, datagram: bytes, now: float) -> None:
        """Go on to the next datagram, which has just been sent."""
        self.datagram = datagram
        self._said_at = now
        self._pause_s = RETRY_S

    def round_trip_s(self, now: float) -> float | None:
        """Return how long the answer took; None if it is not known to which."""
        return now - self._said_at if self._pause_s == RETRY_S else None

    @property
    def deadline(self) -> float:
        """When to look at `is_over` and `is_due`."""
        return min(self._said_at + self._pause_s, self._ends_at)

    def is_over(self, now: float) -> bool:
        """Tell whether it is time to give up."""
        return now >= self._ends_at

    def is_due(self, now: float) -> bool:
        """Tell whether to send the datagram again; it counts as sent then."""
        if now < self._said_at + self._pause_s:
            return False
        self._said_at = now
        self._pause_s *= 2
        return True
