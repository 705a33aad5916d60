"""Whose fragment goes next, and how many may be on the way (PROTOCOL.md 7.3).

One congestion window for the link, shared by its sessions turn by turn. A session with
nothing on the way may always send one fragment: none starves because another is stuck.
Audio does not pass here and waits for nothing.

The window grows by one for each acknowledgement at first, later by one a round trip,
and shrinks to 0.7 at most once a round trip (the factor of RFC 9438). Its floor keeps
random loss, which is no congestion, from bringing messages to a halt: 16 fragments a
round trip are 1.8 Mbit/s at 80 ms.
"""

import math
from collections import deque
from typing import Final

from proto.messages import Fragment
from proto.stream import Outbox

INITIAL_WINDOW: Final = 32.0
"""Fragments: 35 KiB, below any bottleneck queue worth the name."""

MIN_WINDOW: Final = 16.0
MAX_WINDOW: Final = 1024.0
_SHRINK: Final = 0.7


class Sharing:
    """The turns and the window of one link. Holds each waiting outbox once."""

    def __init__(self) -> None:
        self.window = INITIAL_WINDOW
        self.in_flight = 0
        self.lost_total = 0
        self._threshold = MAX_WINDOW
        self._shrunk_at = -math.inf
        self._turns: deque[Outbox] = deque()

    def offer(self, outbox: Outbox) -> None:
        """Give an outbox that may have become ready its turn."""
        if outbox.is_ready and outbox not in self._turns:
            self._turns.append(outbox)

    def take(self, now: float) -> list[Fragment]:
        """Return what to send now, one fragment a turn."""
        fragments = []
        waiting: list[Outbox] = []
        while self._turns:
            outbox = self._turns.popleft()
            if not outbox.is_ready:
                continue
            if self.in_flight >= self.window and outbox.in_flight:
                waiting.append(outbox)
                continue
            fragments.append(outbox.take(now))
            self.in_flight += 1
            self._turns.append(outbox)
        self._turns.extend(waiting)
        return fragments

    def acknowledged(self, count: int) -> None:
        """Note fragments that arrived."""
        self.in_flight -= count
        slow_start = self.window < self._threshold
        growth = count if slow_start else count / self.window
        self.window = min(self.window + growth, MAX_WINDOW)

    def lost(self, count: int, now: float, rtt_s: float) -> None:
        """Note fragments that did not."""
        self.in_flight -= count
        self.lost_total += count
        if count and now - self._shrunk_at > rtt_s:
            self._shrunk_at = now
            self.window = self._threshold = max(self.window * _SHRINK, MIN_WINDOW)

    def withdraw(self, outbox: Outbox) -> None:
        """Forget an outbox whose session has ended."""
        self.in_flight -= outbox.in_flight
        if outbox in self._turns:
            self._turns.remove(outbox)
