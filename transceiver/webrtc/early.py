"""Media that come before there is anybody to take them.

DTLS ends at the caller first, whose first frame comes along with the word of it; and
the relay may not have taken the session yet.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

OnMedia = Callable[[bytes, float], None]
"""Takes an SRTP or SRTCP datagram and when it came, seconds. Must not raise."""

MAX_EARLY_MEDIA: Final = 8
"""Media datagrams of one leg kept until they can be taken; of more, the newest."""


class EarlyMedia:
    """Keeps the newest `MAX_EARLY_MEDIA` datagrams, until they are taken or dropped."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: deque[tuple[bytes, float]] = deque(maxlen=MAX_EARLY_MEDIA)

    def keep(self, data: bytes, now: float) -> None:
        """Keep a datagram; the oldest makes room."""
        self._kept.append((data, now))

    def hand_over(self, on_media: OnMedia) -> None:
        """Have all taken, in order, and keep none."""
        while self._kept:
            on_media(*self._kept.popleft())


def dropped(_data: bytes, _now: float) -> None:
    """Take a datagram of a leg that has left."""
