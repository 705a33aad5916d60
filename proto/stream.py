"""Reliable messages of one session in one direction (PROTOCOL.md 7).

A message is cut to numbered fragments; `Inbox` puts them in order and together again,
`Outbox` keeps them until they are acknowledged and finds which were lost: three later
ones acknowledged (RFC 9002 section 6.1.1), or a timeout. When to send is not decided
here but in `sharing`.
"""

import math
from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

from proto.errors import Backlogged, RemoteError
from proto.messages import (
    MAX_FRAGMENT_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_RANGES,
    MAX_REASON_BYTES,
    MAX_REQUEST_BYTES,
    Ack,
    Carried,
    Fragment,
)

WINDOW: Final = 256
"""Fragments past the next expected one that a receiver takes: 275 KiB a session."""

MAX_IN_FLIGHT: Final = 64
"""Fragments of one session on the way at once."""

MAX_QUEUED_BYTES: Final = 4 * 1024 * 1024
"""Payload that waits to be acknowledged; more is refused with `Backlogged`."""

MAX_QUEUED_FRAGMENTS: Final = 8192
"""The same bound for many small messages."""

LONGEST_BYTES: Final[Mapping[int, int]] = {
    Carried.OPEN: MAX_REQUEST_BYTES,
    Carried.OPENED: 1,
    Carried.EVENT: MAX_MESSAGE_BYTES,
    Carried.CLOSE: MAX_REASON_BYTES + 13,  # array, code, length: 1, 9 and 3
}
"""Payload of each kind of message; one that grows past it is refused at once."""

_REORDERING: Final = 3
"""Later transmissions acknowledged before one counts as lost (RFC 9002, 6.1.1)."""

_MAX_BACKOFF: Final = 5
"""Doublings of the timeout: from 50 ms to 1.6 s."""

_PROBE: Final = 1
"""Fragments on the way after a timeout, until the peer answers again."""

STUCK_S: Final = 30.0
"""Without an acknowledgement for this long the session is given up."""


class _Sent(NamedTuple):
    fragment: Fragment
    order: int


class Progress(NamedTuple):
    """What an acknowledgement or a timeout showed, in fragments."""

    acknowledged: int
    lost: int


class Outbox:
    """What one session sends; bounded as above, nothing is ever dropped from it."""

    def __init__(self, session: int) -> None:
        self.queued_bytes = 0
        self._session = session
        self._next_seq = 1
        self._limit = WINDOW + 1
        self._order = 0
        self._unsent: deque[Fragment] = deque()
        self._lost: deque[Fragment] = deque()
        self._flight: dict[int, _Sent] = {}
        self._waiting_since = 0.0
        self._progress_at = 0.0
        self._backoff = 0

    @property
    def in_flight(self) -> int:
        """Fragments sent, neither acknowledged nor found lost."""
        return len(self._flight)

    @property
    def is_empty(self) -> bool:
        """All that was put has been acknowledged."""
        return not (self._unsent or self._lost or self._flight)

    @property
    def is_ready(self) -> bool:
        """A fragment may be taken."""
        allowed = _PROBE if self._backoff else MAX_IN_FLIGHT
        if len(self._flight) >= allowed:
            return False
        return bool(self._lost or (self._unsent and self._unsent[0].seq < self._limit))

    def check_room(self, payload_bytes: int) -> None:
        """Raise `Backlogged` when so much more would pass the bound."""
        fragments = len(self._unsent) + len(self._lost) + len(self._flight)
        if (
            self.queued_bytes + payload_bytes > MAX_QUEUED_BYTES
            or fragments >= MAX_QUEUED_FRAGMENTS
        ):
            raise Backlogged(f"session {self._session}: {self.queued_bytes} bytes wait")

    def put(self, carried: Carried, payload: bytes) -> None:
        """Queue a message."""
        self.queued_bytes += len(payload)
        for start in range(0, len(payload) or 1, MAX_FRAGMENT_BYTES):
            data = payload[start : start + MAX_FRAGMENT_BYTES]
            is_last = start + MAX_FRAGMENT_BYTES >= len(payload)
            self._unsent.append(
                Fragment(self._session, self._next_seq, carried, is_last, data)
            )
            self._next_seq += 1

    def take(self, now: float) -> Fragment:
        """Return the fragment to send now; there must be one ready."""
        fragment = self._lost.popleft() if self._lost else self._unsent.popleft()
        if not self._flight:
            self._waiting_since = now
            if not self._backoff:
                self._progress_at = now
        self._order += 1
        self._flight[fragment.seq] = _Sent(fragment, self._order)
        return fragment

    def acknowledge(self, ack: Ack, now: float) -> Progress:
        """Take an acknowledgement.

        Raises:
            RemoteError: It acknowledges what was never sent.
        """
        if max((ack.next_seq - 1, *(end - 1 for end in ack.ranges))) >= self._next_seq:
            raise RemoteError("acknowledges the future")
        self._limit = max(self._limit, min(ack.limit, ack.next_seq + WINDOW))
        arrived = [seq for seq in self._flight if _covers(ack, seq)]
        newest = 0
        for seq in arrived:
            sent = self._flight.pop(seq)
            self.queued_bytes -= len(sent.fragment.data)
            newest = max(newest, sent.order)
        late = [fragment for fragment in self._lost if _covers(ack, fragment.seq)]
        for fragment in late:
            self._lost.remove(fragment)
            self.queued_bytes -= len(fragment.data)
        if arrived or late:
            self._waiting_since = self._progress_at = now
            self._backoff = 0
        return Progress(len(arrived), self._lose_older(newest - _REORDERING))

    def expire(self, now: float, rto_s: float) -> int:
        """Count as lost all that is on the way when the timeout has passed."""
        if now < self.timeout_at(rto_s):
            return 0
        self._backoff = min(self._backoff + 1, _MAX_BACKOFF)
        return self._lose_older(self._order)

    def timeout_at(self, rto_s: float) -> float:
        """Return when what is on the way counts as lost."""
        if not self._flight:
            return math.inf
        return self._waiting_since + rto_s * (1 << self._backoff)

    def is_stuck(self, now: float) -> bool:
        """Tell whether the peer has acknowledged nothing for too long."""
        return self._backoff > 0 and now - self._progress_at >= STUCK_S

    def _lose_older(self, order: int) -> int:
        lost = [seq for seq, sent in self._flight.items() if sent.order <= order]
        self._lost.extend(self._flight.pop(seq).fragment for seq in lost)
        return len(lost)


def _covers(ack: Ack, seq: int) -> bool:
    if seq < ack.next_seq:
        return True
    ranges = ack.ranges
    return any(ranges[i] <= seq < ranges[i + 1] for i in range(0, len(ranges), 2))


class Inbox:
    """What one session receives: at most `WINDOW` fragments and one message in parts.

    A fragment past the window is refused; the peer was told the limit.
    """

    def __init__(self, session: int) -> None:
        self._session = session
        self._next_seq = 1
        self._held: dict[int, Fragment] = {}
        self._part = bytearray()
        self._carried: int | None = None

    def receive(self, fragment: Fragment) -> list[tuple[int, bytes]]:
        """Take a fragment; return the messages it completes, in order.

        Raises:
            RemoteError: Past the window, a message of mixed kinds or of none, or one
                too long for its kind.
        """
        if fragment.seq >= self._next_seq + WINDOW:
            raise RemoteError("past the window")
        if fragment.seq >= self._next_seq:
            self._held[fragment.seq] = fragment
        complete = []
        while (piece := self._held.pop(self._next_seq, None)) is not None:
            self._next_seq += 1
            message = self._join(piece)
            if message is not None:
                complete.append(message)
        return complete

    def ack(self) -> Ack:
        """Return what to tell the sender now."""
        ranges: list[int] = []
        for seq in sorted(self._held):
            if ranges and ranges[-1] == seq:
                ranges[-1] = seq + 1
            elif len(ranges) < 2 * MAX_RANGES:
                ranges += (seq, seq + 1)
        limit = self._next_seq + WINDOW
        return Ack(self._session, self._next_seq, limit, tuple(ranges))

    def _join(self, piece: Fragment) -> tuple[int, bytes] | None:
        if self._carried not in (None, piece.carried):
            raise RemoteError("message of mixed kinds")
        if len(self._part) + len(piece.data) > LONGEST_BYTES.get(piece.carried, -1):
            raise RemoteError("message too long, or of no kind")
        if self._carried is None and piece.is_last:
            return piece.carried, piece.data
        self._carried = piece.carried
        self._part += piece.data
        if not piece.is_last:
            return None
        message = piece.carried, bytes(self._part)
        self._part = bytearray()
        self._carried = None
        return message
