"""The messages that cross a link inside the seal, and their limits (PROTOCOL.md 5).

Tuples, because one is made for each datagram. `wire` turns them into bytes and back; a
tuple that came from there is within these limits.
"""

import enum
from typing import Final, NamedTuple

from proto.frames import DownFrame, UpFrame

MAX_FRAGMENT_BYTES: Final = 1100
"""Payload of a fragment: 1,200 less header 16, tag 16 and at most 40 of msgpack."""

MAX_MESSAGE_BYTES: Final = 1024 * 1024
"""Longest reliable message (a session.update with tools or a picture fits)."""

MAX_REQUEST_BYTES: Final = 256 * 1024
"""Longest OPEN, the payloads offered included."""

MAX_REASON_BYTES: Final = 512
"""Longest CLOSE reason, UTF-8."""

MAX_ASKED: Final = 64
"""Sequence numbers in one NACK: the depth of the sender's history."""

MAX_RANGES: Final = 16
"""Selective acknowledgement ranges in one ACK."""

MAX_INT: Final = (1 << 63) - 1
"""Largest integer in a message. No counter can get there, so none wraps."""

MAX_SESSION: Final = (1 << 32) - 1
"""Largest session id: 136 years at one session a second, so none is used twice."""

MAX_LEAD_MS: Final = 60_000
"""Longest lead of a downlink frame, milliseconds."""


class Kind(enum.IntEnum):
    """First element of a sealed message."""

    PING = 1
    PONG = 2
    BYE = 3
    UP = 4
    DOWN = 5
    LAST = 6
    NACK = 7
    FRAGMENT = 8
    ACK = 9
    RESET = 10
    FLUSH = 11
    FLUSHED = 12


class Carried(enum.IntEnum):
    """What the fragments of a reliable message add up to."""

    OPEN = 1
    OPENED = 2
    EVENT = 3
    CLOSE = 4


class Ping(NamedTuple):
    """Asks for a PONG with the same number; `sent_us` is the sender's own clock."""

    number: int
    sent_us: int


class Pong(NamedTuple):
    """Answers a PING."""

    number: int


class Bye(NamedTuple):
    """The sender has left the link."""

    code: int


class Up(NamedTuple):
    """One uplink frame."""

    session: int
    seq: int
    frame: UpFrame


class Down(NamedTuple):
    """One downlink frame."""

    session: int
    seq: int
    frame: DownFrame


class Last(NamedTuple):
    """No frame follows `seq` for now: shows the receiver a loss at the tail."""

    session: int
    seq: int
    lead_ms: int


class Nack(NamedTuple):
    """Asks for audio again."""

    session: int
    seqs: tuple[int, ...]


class Fragment(NamedTuple):
    """A piece of a reliable message."""

    session: int
    seq: int
    carried: int
    is_last: bool
    data: bytes


class Ack(NamedTuple):
    """Fragments below `next_seq` and in `ranges` are here; below `limit` are welcome.

    `ranges` is flat: first, one past the last, first, one past the last.
    """

    session: int
    next_seq: int
    limit: int
    ranges: tuple[int, ...]


class Reset(NamedTuple):
    """The sender has no such session."""

    session: int
    code: int


class Flush(NamedTuple):
    """Drop all queued audio of talkspurts up to `talkspurt`."""

    session: int
    number: int
    talkspurt: int


class Flushed(NamedTuple):
    """Answers FLUSH `number`: what the caller had heard."""

    session: int
    number: int
    talkspurt: int
    heard_samples: int


Message = (
    Ping
    | Pong
    | Bye
    | Up
    | Down
    | Last
    | Nack
    | Fragment
    | Ack
    | Reset
    | Flush
    | Flushed
)
Control = Ping | Pong | Bye | Last | Nack | Fragment | Ack | Reset | Flush | Flushed
