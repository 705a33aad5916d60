"""Bytes of the link: the datagram header and the sealed messages (PROTOCOL.md 2, 5).

Owns the codec, and is the only importer of msgpack. What it decodes has the types that
its tuple declares and is within the limits; anything else is a `RemoteError`. It knows
neither keys nor state.
"""

import enum
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

import msgpack

from proto.errors import CloseCode, RemoteError
from proto.frames import DownFrame, UpFrame, new_tuple
from proto.messages import (
    MAX_ASKED,
    MAX_FRAGMENT_BYTES,
    MAX_INT,
    MAX_LEAD_MS,
    MAX_RANGES,
    MAX_REASON_BYTES,
    MAX_SESSION,
    Ack,
    Bye,
    Control,
    Down,
    Flush,
    Flushed,
    Fragment,
    Kind,
    Last,
    Message,
    Nack,
    Ping,
    Pong,
    Reset,
    Up,
)
from proto.payload import MAX_PAYLOAD_BYTES

VERSION: Final = 1
"""The version of this specification."""

MAX_DATAGRAM_BYTES: Final = 1200
"""Longest datagram: passes any path with the IPv6 minimum MTU of 1,280 bytes."""


class DatagramType(enum.IntEnum):
    """Second byte of a datagram."""

    HELLO = 1
    WELCOME = 2
    FINISH = 3
    SEALED = 4


HEADER: Final = struct.Struct("!BBHIQ")
"""Version u8, type u8, epoch u16, link id u32, counter u64; network order."""

HEADER_BYTES: Final = HEADER.size

TAG_BYTES: Final = 16
"""Bytes that the seal appends (AES-GCM)."""

MIN_DATAGRAM_BYTES: Final = HEADER_BYTES + TAG_BYTES
"""A header and a tag; shorter ones are not looked at."""

_pack: Final[Callable[[tuple[Any, ...]], bytes]] = msgpack.Packer(autoreset=True).pack
"""One for the process: half the cost of packb; it keeps nothing between calls."""

_UP: Final = int(Kind.UP)
_DOWN: Final = int(Kind.DOWN)

_KINDS: Final[Mapping[type[Control], Kind]] = {
    Ping: Kind.PING,
    Pong: Kind.PONG,
    Bye: Kind.BYE,
    Last: Kind.LAST,
    Nack: Kind.NACK,
    Fragment: Kind.FRAGMENT,
    Ack: Kind.ACK,
    Reset: Kind.RESET,
    Flush: Kind.FLUSH,
    Flushed: Kind.FLUSHED,
}


def encode(message: Control) -> bytes:
    """Return the plaintext of a message other than audio."""
    return _pack((_KINDS[type(message)], *message))


def encode_up(session: int, seq: int, frame: UpFrame) -> bytes:
    """Return the plaintext of an uplink frame."""
    position, talkspurt, heard, payload = frame
    return _pack((_UP, session, seq, position, talkspurt, heard, payload))


def encode_down(session: int, seq: int, frame: DownFrame) -> bytes:
    """Return the plaintext of a downlink frame."""
    talkspurt, position, lead_ms, payload = frame
    return _pack((_DOWN, session, seq, talkspurt, position, lead_ms, payload))


def encode_close(code: CloseCode, reason: str) -> bytes:
    """Return the payload of a CLOSE; a long reason is cut."""
    text = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
    return _pack((code, text))


def close_code(number: int) -> CloseCode:
    """Return the close code; one of a later version reads as INTERNAL."""
    try:
        return CloseCode(number)
    except ValueError:
        return CloseCode.INTERNAL


def decode_close(payload: bytes) -> tuple[CloseCode, str]:
    """Return code and reason.

    Raises:
        RemoteError: The payload is not a CLOSE.
    """
    match _unpack(payload):
        case (int(code), str(reason)) if type(code) is int:
            return close_code(code), reason
        case _:
            raise RemoteError("malformed close")


def decode(plaintext: bytes) -> Message:
    """Return the message in an opened datagram.

    Raises:
        RemoteError: It is not a message of this version.
    """
    fields = _unpack(plaintext)
    if type(fields) is not tuple or not fields or type(fields[0]) is not int:
        raise RemoteError("not a message")
    decoder = _DECODERS.get(fields[0])
    if decoder is None:
        raise RemoteError("unknown message")
    return decoder(fields)


def _unpack(plaintext: bytes) -> Any:
    try:
        return msgpack.unpackb(
            plaintext,
            use_list=False,
            max_bin_len=MAX_DATAGRAM_BYTES,
            max_str_len=MAX_REASON_BYTES,
            max_array_len=MAX_ASKED,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as error:
        raise RemoteError("malformed") from error


def _reject() -> NoReturn:
    raise RemoteError("field out of range")


def _decode_up(fields: tuple[Any, ...]) -> Up:
    if len(fields) != 7:
        _reject()
    _, session, seq, position, talkspurt, heard, payload = fields
    if not (
        type(session)
        is type(seq)
        is type(position)
        is type(talkspurt)
        is type(heard)
        is int
        and 0 < session <= MAX_SESSION
        and 0 < seq <= MAX_INT
        and 0 <= position <= MAX_INT
        and 0 <= talkspurt <= MAX_INT
        and 0 <= heard <= MAX_INT
        and type(payload) is bytes
        and 0 < len(payload) <= MAX_PAYLOAD_BYTES
    ):
        _reject()
    frame = new_tuple(UpFrame, (position, talkspurt, heard, payload))
    return new_tuple(Up, (session, seq, frame))


def _decode_down(fields: tuple[Any, ...]) -> Down:
    if len(fields) != 7:
        _reject()
    _, session, seq, talkspurt, position, lead_ms, payload = fields
    if not (
        type(session)
        is type(seq)
        is type(talkspurt)
        is type(position)
        is type(lead_ms)
        is int
        and 0 < session <= MAX_SESSION
        and 0 < seq <= MAX_INT
        and 0 < talkspurt <= MAX_INT
        and 0 <= position <= MAX_INT
        and 0 <= lead_ms <= MAX_LEAD_MS
        and type(payload) is bytes
        and 0 < len(payload) <= MAX_PAYLOAD_BYTES
    ):
        _reject()
    frame = new_tuple(DownFrame, (talkspurt, position, lead_ms, payload))
    return new_tuple(Down, (session, seq, frame))


def _integers(fields: tuple[Any, ...], count: int, *, session: bool) -> tuple[int, ...]:
    """Return fields 1 to `count`, all of them integers in range and the only ones."""
    values = fields[1:]
    if len(values) != count:
        _reject()
    for value in values:
        if type(value) is not int or not 0 <= value <= MAX_INT:
            _reject()
    if session and not 0 < values[0] <= MAX_SESSION:
        _reject()
    return values


def _decode_last(fields: tuple[Any, ...]) -> Last:
    last = Last(*_integers(fields, 3, session=True))
    if last.seq == 0 or last.lead_ms > MAX_LEAD_MS:
        _reject()
    return last


def _decode_nack(fields: tuple[Any, ...]) -> Nack:
    if len(fields) != 3 or type(fields[2]) is not tuple:
        _reject()
    session, *seqs = _integers(
        (fields[0], fields[1], *fields[2]), len(fields[2]) + 1, session=True
    )
    return Nack(session, tuple(seqs))


def _decode_fragment(fields: tuple[Any, ...]) -> Fragment:
    if len(fields) != 6 or type(fields[4]) is not bool or type(fields[5]) is not bytes:
        _reject()
    session, seq, carried = _integers(fields[:4], 3, session=True)
    if seq == 0 or len(fields[5]) > MAX_FRAGMENT_BYTES:
        _reject()
    return Fragment(session, seq, carried, fields[4], fields[5])


def _decode_ack(fields: tuple[Any, ...]) -> Ack:
    if len(fields) != 5 or type(fields[4]) is not tuple:
        _reject()
    count = len(fields[4])
    session, next_seq, limit, *ranges = _integers(
        (*fields[:4], *fields[4]), 3 + count, session=True
    )
    ascending = all(
        low < high for low, high in zip((next_seq, *ranges), ranges, strict=False)
    )
    if count % 2 or count > 2 * MAX_RANGES or not ascending:
        _reject()
    return Ack(session, next_seq, limit, tuple(ranges))


_DECODERS: Final[Mapping[int, Callable[[tuple[Any, ...]], Message]]] = {
    Kind.UP: _decode_up,
    Kind.DOWN: _decode_down,
    Kind.PING: lambda fields: Ping(*_integers(fields, 2, session=False)),
    Kind.PONG: lambda fields: Pong(*_integers(fields, 1, session=False)),
    Kind.BYE: lambda fields: Bye(*_integers(fields, 1, session=False)),
    Kind.LAST: _decode_last,
    Kind.NACK: _decode_nack,
    Kind.FRAGMENT: _decode_fragment,
    Kind.ACK: _decode_ack,
    Kind.RESET: lambda fields: Reset(*_integers(fields, 2, session=True)),
    Kind.FLUSH: lambda fields: Flush(*_integers(fields, 3, session=True)),
    Kind.FLUSHED: lambda fields: Flushed(*_integers(fields, 4, session=True)),
}
