"""What the audio of a session is carried as, agreed when it opens (PROTOCOL.md 5).

The dialer offers payloads in its order of preference, the listener chooses one, for
both directions. PCM need not be offered: every end takes it. The link carries bytes;
what they sound like is the owners' business.
"""

import enum
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from proto.errors import RemoteError
from proto.frames import FRAME_BYTES, SAMPLE_BYTES


class Payload(enum.IntEnum):
    """Code of a payload, in OPEN and OPENED."""

    PCM = 0
    OPUS = 1
    PCMU = 2
    PCMA = 3


class Bounds(NamedTuple):
    """What one frame of a payload may be."""

    max_bytes: int
    grain_bytes: int
    """Divides its length."""


MAX_PAYLOAD_BYTES: Final = 1000
"""Longest frame of any payload: with the header, the seal and the other fields in
their longest form it fits a datagram."""

MAX_OFFERED: Final = 8
"""Payloads named in one OPEN."""

BOUNDS: Final[Mapping[Payload, Bounds]] = {
    Payload.PCM: Bounds(FRAME_BYTES, SAMPLE_BYTES),
    Payload.OPUS: Bounds(MAX_PAYLOAD_BYTES, 1),
    Payload.PCMU: Bounds(160, 1),
    Payload.PCMA: Bounds(160, 1),
}
"""20 ms of PCM at 24 kHz, an Opus packet, 20 ms of G.711 at 8 kHz; none is empty."""


def encode_open(offered: Iterable[Payload], request: bytes) -> bytes:
    """Return an OPEN: count u8, codes u8 in order of preference, the request."""
    codes = bytes(offered)
    return bytes((len(codes),)) + codes + request


def decode_open(data: bytes) -> tuple[tuple[Payload, ...], bytes]:
    """Return the payloads offered that are known here, and the request.

    Raises:
        RemoteError: It is no OPEN.
    """
    if not data or data[0] > MAX_OFFERED or len(data) <= data[0]:
        raise RemoteError("malformed open")
    end = 1 + data[0]
    known = {int(payload): payload for payload in Payload}
    return tuple(known[code] for code in data[1:end] if code in known), data[end:]


def decode_opened(data: bytes, offered: tuple[Payload, ...]) -> Payload:
    """Return the payload chosen.

    Raises:
        RemoteError: It was not offered.
    """
    for payload in (*offered, Payload.PCM):
        if data == bytes((payload,)):
            return payload
    raise RemoteError("a payload that was not offered")
