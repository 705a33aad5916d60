"""A dialer's attempt at a link: what to say again, and until when (PROTOCOL.md 3)."""

from typing import Final

from proto.errors import RemoteError
from proto.handshake import DialerHandshake, Ends

RETRY_S: Final = 0.1
"""First pause before a HELLO or FINISH is sent again; doubled each time."""

TIMEOUT_S: Final = 3.0
"""How long a dialer tries before it gives up this attempt."""


class Greeting:
    """Says HELLO until it is answered, then FINISH until the link is up.

    Attributes:
        datagram: What to say; it has been sent once when it changes.
        round_trip_s: How long the answer took; None if it is not known to which HELLO.
    """

    def __init__(self, handshake: DialerHandshake, now: float) -> None:
        self.datagram = handshake.hello()
        self.round_trip_s: float | None = None
        self._handshake = handshake
        self._is_welcome = False
        self._ends_at = now + TIMEOUT_S
        self._said_at = now
        self._pause_s = RETRY_S

    def welcomed(self, datagram: bytes, now: float) -> Ends:
        """Take a WELCOME, and go on to FINISH; return the link that it makes.

        Raises:
            VersionMismatch: An authentic listener has no version in common.
            RemoteError: It is no answer to our HELLO, or not the first.
        """
        if self._is_welcome:
            raise RemoteError("welcome out of place")
        self.datagram, ends = self._handshake.welcomed(datagram, now)
        self._is_welcome = True
        if self._pause_s == RETRY_S:
            self.round_trip_s = now - self._said_at
        self._said_at = now
        self._pause_s = RETRY_S
        return ends

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
