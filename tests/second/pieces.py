"""Reliable messages of one session: sections 7.1 and 7.2 of PROTOCOL.md."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tests.second.layout import CLOSE, EVENT, FRAGMENT, OPEN, OPENED
from tests.second.sound import NEVER, Rtt

FRAGMENT_BYTES = 1100
MESSAGE_BYTES = 1 << 20
LONGEST_BYTES = {OPEN: 256 << 10, OPENED: 1, EVENT: MESSAGE_BYTES, CLOSE: 525}
WINDOW = 256  # past the next
ON_THE_WAY = 64
QUEUE_BYTES, QUEUE_FRAGMENTS = 4 << 20, 8192
STUCK_S = 30.0


class BrokenError(Exception):
    """The peer broke the protocol; the session ends with RESET(PROTOCOL)."""


class RefusedError(Exception):
    """The queue of a session is full, or a message too long."""


@dataclass(slots=True)
class Incoming:
    """Puts fragments together; holds at most one message and 256 fragments."""

    next_seq: int = 1
    _held: dict[int, tuple[int, bool, bytes]] = field(default_factory=dict)
    _parts: bytearray = field(default_factory=bytearray)
    _carried: int | None = None

    def fragment(
        self, seq: int, carried: int, is_last: bool, data: bytes
    ) -> list[tuple[int, bytes]]:
        """Take one; return the messages that are whole now.

        Raises:
            BrokenError: Past the window, too long, or of mixed kinds.
        """
        if seq >= self.next_seq + WINDOW:
            raise BrokenError
        if seq >= self.next_seq:
            self._held.setdefault(seq, (carried, is_last, data))
        out = []
        while (piece := self._held.pop(self.next_seq, None)) is not None:
            self.next_seq += 1
            whole = self._piece(*piece)
            if whole is not None:
                out.append(whole)
        return out

    def _piece(
        self, carried: int, is_last: bool, data: bytes
    ) -> tuple[int, bytes] | None:
        if self._carried not in (None, carried) or not OPEN <= carried <= CLOSE:
            raise BrokenError
        self._parts += data
        if len(self._parts) > LONGEST_BYTES[carried]:
            raise BrokenError
        self._carried = None if is_last else carried
        if not is_last:
            return None
        whole, self._parts = bytes(self._parts), bytearray()
        return carried, whole

    def acknowledgement(self) -> tuple[int, int, list[int]]:
        """Return next, limit and the first 16 runs beyond it."""
        runs: list[int] = []
        for seq in sorted(self._held):
            if runs and runs[-1] == seq:
                runs[-1] = seq + 1
            else:
                runs += [seq, seq + 1]
        return self.next_seq, self.next_seq + WINDOW, runs[:32]


@dataclass(slots=True)
class _Sent:
    at: float
    order: int


@dataclass(slots=True)
class Outgoing:
    """Fragments not yet acknowledged, at most 4 MiB or 8,192."""

    session: int
    rtt: Rtt
    _pieces: dict[int, tuple[int, bool, bytes]] = field(default_factory=dict)
    _again: deque[int] = field(default_factory=deque)
    _sent: dict[int, _Sent] = field(default_factory=dict)
    _bytes: int = 0
    _next_new: int = 1
    _after: int = 1  # one past the last queued
    _limit: int = 1 + WINDOW
    _order: int = 0
    _backoff: int = 0
    _one: bool = False  # after a timeout
    _rto_at: float = NEVER
    stuck_at: float = NEVER

    @property
    def done(self) -> bool:
        """All that was put is acknowledged."""
        return not self._pieces

    @property
    def on_the_way(self) -> int:
        """Fragments sent, neither acknowledged nor lost."""
        return len(self._sent)

    @property
    def deadline(self) -> float:
        """When to call `timed_out`."""
        return min(self._rto_at, self.stuck_at)

    def put(self, carried: int, payload: bytes, now: float) -> None:
        """Queue one message.

        Raises:
            RefusedError: It is too long, or the queue is full.
        """
        cuts = range(0, len(payload) or 1, FRAGMENT_BYTES)
        too_many = len(self._pieces) + len(cuts) > QUEUE_FRAGMENTS
        too_much = self._bytes + len(payload) > QUEUE_BYTES
        if len(payload) > MESSAGE_BYTES or too_many or too_much:
            raise RefusedError
        if self.done:
            self.stuck_at = now + STUCK_S
        for cut in cuts:
            piece = payload[cut : cut + FRAGMENT_BYTES]
            self._pieces[self._after] = (carried, cut == cuts[-1], piece)
            self._bytes += len(piece)
            self._after += 1

    def ready(self) -> bool:
        """Say whether there is a fragment that may go now, the link allowing."""
        allowed = 1 if self._one else ON_THE_WAY
        new = self._next_new < min(self._after, self._limit)
        return len(self._sent) < allowed and bool(self._again or new)

    def send(self, now: float) -> tuple[Any, ...]:
        """Return the next fragment's message."""
        if self._again:
            seq = self._again.popleft()
        else:
            seq, self._next_new = self._next_new, self._next_new + 1
        self._order += 1
        if not self._sent:
            self._rto_at = now + self._timeout()
        self._sent[seq] = _Sent(now, self._order)
        return (FRAGMENT, self.session, seq, *self._pieces[seq])

    def acknowledged(
        self, next_seq: int, limit: int, runs: list[int], now: float
    ) -> tuple[int, bool]:
        """Return how many fragments are newly acknowledged, and if some got lost."""
        if max([next_seq, *runs]) > self._next_new:
            return 0, False
        self._limit = max(self._limit, limit)
        pairs = list(zip(runs[::2], runs[1::2], strict=True))
        news = [
            seq
            for seq in [*self._sent, *self._again]
            if seq < next_seq or any(first <= seq < end for first, end in pairs)
        ]
        if not news:
            return 0, False
        newest = 0
        for seq in news:
            sent = self._sent.pop(seq, None)
            newest = max(newest, sent.order if sent is not None else 0)
            self._bytes -= len(self._pieces.pop(seq)[2])
        self._again = deque(seq for seq in self._again if seq in self._pieces)
        self._backoff, self._one = 0, False
        lost = [s for s, sent in self._sent.items() if sent.order + 3 <= newest]
        self._lose(lost)
        self._rto_at = now + self._timeout() if self._sent else NEVER
        self.stuck_at = NEVER if self.done else now + STUCK_S
        return len(news), bool(lost)

    def timed_out(self, now: float) -> bool:
        """Take all on the way for lost if the timeout is over; say so."""
        if now < self._rto_at:
            return False
        self._backoff = min(self._backoff + 1, 5)
        self._one, self._rto_at = True, NEVER
        self._lose(list(self._sent))
        return True

    def _lose(self, seqs: list[int]) -> None:
        for seq in seqs:
            del self._sent[seq]
        self._again = deque(sorted([*self._again, *seqs]))

    def _timeout(self) -> float:
        return float(self.rtt.timeout * 2**self._backoff)
