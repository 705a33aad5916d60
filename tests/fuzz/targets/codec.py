"""What is decoded with no state: messages, requests, the tunnel's words."""

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

import msgpack
import orjson

from proto import tunnel, wire
from proto.errors import LocalError, RemoteError
from proto.messages import MAX_REASON_BYTES, MAX_SESSION, Down, Up
from proto.payload import (
    MAX_OFFERED,
    Payload,
    decode_open,
    decode_opened,
    encode_open,
)
from proto.request import SessionRequest
from tests.fuzz.draw import Draw

T = TypeVar("T")

FIELDS = (
    *("type", "converse", "attach", "hang_up", "describe", "admitted", "facts"),
    *("refused", "request", "call_id", "tenant", "speaks_beta", "status", "code"),
    *("message", "fields", "model", "session", "bound", "max_event_bytes"),
    *("traceparent", ""),
)


def message(data: bytes) -> None:
    """A sealed message decodes to one that encodes to a message equal to it."""
    _check_message(data)
    _check_message(message_like(Draw(data)))


def message_like(draw: Draw) -> bytes:
    """Return an array that looks like a message, some of its elements astray."""
    session = draw.choice((1, 1, MAX_SESSION, draw.number()))
    values: list[Any] = [draw.number() for _ in range(draw.byte() % 6)]
    odd: tuple[Any, ...] = (b"\0" * 960, b"\0\0", list(values), {}, "x", None, True, -1)
    for _ in range(draw.byte() % 3):
        values.insert(draw.byte() % (len(values) + 1), draw.choice(odd))
    return bytes(msgpack.packb([draw.byte() % 14, session, *values]))


def _check_message(data: bytes) -> None:
    try:
        decoded = wire.decode(data)
    except RemoteError:
        return
    if isinstance(decoded, Up):
        again = wire.encode_up(*decoded)
    elif isinstance(decoded, Down):
        again = wire.encode_down(*decoded)
    else:
        again = wire.encode(decoded)
    assert wire.decode(again) == decoded
    assert len(again) + wire.MIN_DATAGRAM_BYTES <= wire.MAX_DATAGRAM_BYTES


def close(data: bytes) -> None:
    """A CLOSE decodes to a known code and a reason of bounded length."""
    try:
        code, reason = wire.decode_close(data)
    except RemoteError:
        return
    assert len(reason.encode()) <= MAX_REASON_BYTES
    assert wire.decode_close(wire.encode_close(code, reason)) == (code, reason)


def opening(data: bytes) -> None:
    """OPEN and OPENED are read to payloads known here, or refused."""
    offered: tuple[Payload, ...] = ()
    with contextlib.suppress(RemoteError):
        offered, asked = decode_open(data)
        assert len(offered) <= MAX_OFFERED
        assert decode_open(encode_open(offered, asked)) == (offered, asked)
    with contextlib.suppress(RemoteError):
        assert decode_opened(data, offered) in (*offered, Payload.PCM)


def request(data: bytes) -> None:
    """A session request decodes to one that stays the same when written again."""
    for text in _texts(data):
        with contextlib.suppress(ValueError):
            decoded = SessionRequest.decode(text)
            with contextlib.suppress(orjson.JSONEncodeError):
                assert SessionRequest.decode(decoded.encode()) == decoded


def tunnel_request(data: bytes) -> None:
    """An opening message of a tunnel decodes to one that stays the same."""
    _stays(data, tunnel.decode_request, tunnel.encode_request)


def tunnel_answer(data: bytes) -> None:
    """A relay's first message decodes to one that stays the same."""
    _stays(data, tunnel.decode_answer, tunnel.encode_answer)


def _stays(
    data: bytes, decode: Callable[[bytes], T], encode: Callable[[T], bytes]
) -> None:
    for text in _texts(data):
        with contextlib.suppress(ValueError):
            decoded = decode(text)
            with contextlib.suppress(LocalError, orjson.JSONEncodeError):
                assert decode(encode(decoded)) == decoded


def _texts(data: bytes) -> tuple[bytes, bytes]:
    """Return the bytes as they are, and an object drawn from them."""
    return data, orjson.dumps(Draw(data).object(FIELDS))
