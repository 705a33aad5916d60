"""What the bytes are: sections 2 and 5 of PROTOCOL.md, as a listener needs them.

Written from the document alone. A message is the list that msgpack gives, its
elements checked; this project's own codec is not used.
"""

from collections.abc import Callable
from struct import Struct
from typing import Any

import msgpack

HEADER = Struct(">BBHIQ")  # version, type, epoch, link id, counter
OFFER = Struct(">4sI32sBB")  # key id, link id, nonce, lowest and highest version
ANSWER = Struct(">I32sB")  # link id, nonce, version chosen
VERSION = 1
HELLO, WELCOME, FINISH, SEALED = 1, 2, 3, 4
LENGTHS = {HELLO: (90, 90), WELCOME: (85, 85), FINISH: (127, 127), SEALED: (33, 1200)}

PING, PONG, BYE, UP, DOWN, LAST, NACK, FRAGMENT, ACK, RESET, FLUSH, FLUSHED = range(
    1, 13
)
OPEN, OPENED, EVENT, CLOSE = 1, 2, 3, 4  # carried (7.1)
PCM = 0  # the payload that every end takes
NORMAL, LINK_LOST, REFUSED_CAPACITY, REFUSED_UPSTREAM = 0, 1, 2, 3
UPSTREAM_LOST, PROTOCOL, DRAINING, TIMEOUT, INTERNAL = 4, 5, 6, 7, 8

Check = Callable[[Any], bool]


def _integer(low: int, high: int) -> Check:
    return lambda value: type(value) is int and low <= value <= high


def _seqs(value: Any) -> bool:
    return type(value) is list and len(value) <= 64 and all(map(_COUNT, value))


def _pairs(value: Any) -> bool:
    if type(value) is not list or len(value) > 32 or len(value) % 2:
        return False
    return all(map(_COUNT, value)) and value == sorted(set(value))


def _pcm(value: Any) -> bool:
    return type(value) is bytes and 2 <= len(value) <= 960 and len(value) % 2 == 0


_COUNT = _integer(0, 2**63 - 1)
_POSITIVE = _integer(1, 2**63 - 1)
_SESSION = _integer(1, 2**32 - 1)
_LEAD = _integer(0, 60_000)
_SHAPES: dict[int, tuple[Check, ...]] = {  # only what a dialer may say
    PING: (_COUNT, _COUNT),
    PONG: (_COUNT,),
    BYE: (_COUNT,),
    UP: (_SESSION, _POSITIVE, _COUNT, _COUNT, _COUNT, _pcm),
    LAST: (_SESSION, _POSITIVE, _LEAD),
    NACK: (_SESSION, _seqs),
    FRAGMENT: (
        _SESSION,
        _POSITIVE,
        _COUNT,
        lambda value: type(value) is bool,
        lambda value: type(value) is bytes and len(value) <= 1100,
    ),
    ACK: (_SESSION, _COUNT, _COUNT, _pairs),
    RESET: (_SESSION, _COUNT),
    FLUSHED: (_SESSION, _COUNT, _COUNT, _COUNT),
}


def well_formed(datagram: bytes) -> bool:
    """Say whether version, type and length are those of section 2."""
    if not 32 <= len(datagram) <= 1200 or datagram[0] != VERSION:
        return False
    low, high = LENGTHS.get(datagram[1], (1, 0))
    return low <= len(datagram) <= high


def pack(*elements: Any) -> bytes:
    """Return the plaintext of a message."""
    plaintext: bytes = msgpack.packb(elements)
    return plaintext


def unpack(plaintext: bytes) -> Any:
    """Return one msgpack value, or None for what is none."""
    try:
        return msgpack.unpackb(plaintext)
    except ValueError:  # every error of the library is one
        return None


def message(plaintext: bytes) -> list[Any] | None:
    """Return a message that a dialer may send, or None for anything else."""
    value = unpack(plaintext)
    if type(value) is not list or not value or type(value[0]) is not int:
        return None
    shape = _SHAPES.get(value[0])
    if shape is None or len(shape) != len(value) - 1:
        return None
    if not all(check(field) for check, field in zip(shape, value[1:], strict=True)):
        return None
    if value[0] == ACK and value[4] and value[4][0] <= value[2]:
        return None
    return value


def closing(payload: bytes) -> tuple[int, str] | None:
    """Return code and reason of a CLOSE, or None for anything else."""
    value = unpack(payload)
    if type(value) is not list or len(value) != 2 or not _COUNT(value[0]):
        return None
    if type(value[1]) is not str or len(value[1].encode()) > 512:
        return None
    return known(value[0]), value[1]


def offer(payload: bytes) -> tuple[bytes, bytes] | None:
    """Return codes and request of an OPEN, or None for anything else."""
    count = payload[0] if payload else 9
    if count > 8 or len(payload) <= count:
        return None
    return payload[1 : 1 + count], payload[1 + count :]


def known(code: int) -> int:
    """Return a close code, an unknown one as INTERNAL."""
    return code if code <= INTERNAL else INTERNAL
