"""PROTOCOL.md 5: every message, at its limits and past them."""

from typing import Any, Final

import msgpack

from proto import wire
from proto.errors import CloseCode
from proto.frames import FRAME_BYTES, DownFrame, UpFrame
from proto.messages import (
    MAX_FRAGMENT_BYTES,
    MAX_INT,
    MAX_LEAD_MS,
    MAX_SESSION,
    Ack,
    Bye,
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

_PCM: Final = bytes(range(256)) * 3 + bytes(192)

_MESSAGES: Final[tuple[Message, ...]] = (
    Ping(0, 0),
    Ping(1, 1_000_000),
    Ping(MAX_INT, MAX_INT),
    Pong(127),
    Pong(128),
    Bye(CloseCode.DRAINING),
    Bye(MAX_INT),
    Up(1, 1, UpFrame(0, 0, 0, b"\x01\x02")),
    Up(3, 256, UpFrame(480 * 255, 2, 65_536, _PCM)),
    Up(MAX_SESSION, MAX_INT, UpFrame(MAX_INT, MAX_INT, MAX_INT, bytes(FRAME_BYTES))),
    Down(1, 1, DownFrame(1, 0, 0, b"\x01\x02")),
    Down(3, 256, DownFrame(2, 480, 160, _PCM)),
    Down(
        MAX_SESSION,
        MAX_INT,
        DownFrame(MAX_INT, MAX_INT, MAX_LEAD_MS, bytes(FRAME_BYTES)),
    ),
    Last(1, 7, 0),
    Last(1, 7, MAX_LEAD_MS),
    Nack(1, ()),
    Nack(1, (5,)),
    Nack(1, tuple(range(1000, 1064))),
    Fragment(1, 1, 1, True, b"{}"),
    Fragment(1, 2, 3, False, bytes(MAX_FRAGMENT_BYTES)),
    Fragment(1, 3, 2, True, b""),
    Ack(1, 1, 257, ()),
    Ack(1, 5, 261, (6, 8, 9, 10)),
    Ack(1, 5, 261, tuple(range(6, 38))),
    Reset(1, CloseCode.PROTOCOL),
    Reset(MAX_SESSION, 99),
    Flush(1, 1, 3),
    Flushed(1, 1, 0, 0),
    Flushed(1, 1, 3, 24_000),
)

_NO_INTEGER: Final = ("1", b"1", 1.0, None, True, -1, 1 << 63, [1])


def vectors() -> dict[str, Any]:
    return {
        "messages": [_described(message) for message in _MESSAGES],
        "malformed": [
            {"plaintext": plaintext.hex(), "why": why}
            for plaintext, why in _malformed()
        ],
        "close_payloads": [
            {
                "code": int(code),
                "reason": reason,
                "payload": wire.encode_close(code, reason).hex(),
            }
            for code, reason in (
                (CloseCode.NORMAL, ""),
                (CloseCode.REFUSED_CAPACITY, "full"),
                (CloseCode.INTERNAL, "äöü 🎧"),
                (CloseCode.TIMEOUT, "x" * 512),
            )
        ],
        "malformed_close_payloads": [
            {"payload": payload.hex(), "why": why}
            for payload, why in (
                (b"", "empty"),
                (msgpack.packb([0]), "no reason"),
                (msgpack.packb([0, b"x"]), "reason is bin"),
                (msgpack.packb([0, "x" * 513]), "reason of 513 bytes"),
                (msgpack.packb(["0", "x"]), "code is str"),
                (msgpack.packb([0, ""]) + b"\0", "a byte follows"),
                (b"\x92\x00\xa1\xff", "reason is no UTF-8"),
            )
        ],
    }


def _described(message: Message) -> dict[str, Any]:
    return {
        "message": type(message).__name__.upper(),
        "elements": elements(message),
        "plaintext": encoded(message).hex(),
    }


def encoded(message: Message) -> bytes:
    if isinstance(message, Up):
        return wire.encode_up(*message)
    if isinstance(message, Down):
        return wire.encode_down(*message)
    return wire.encode(message)


def elements(message: Message) -> list[Any]:
    """Return what follows the first element; bin as {"bin": hex}."""
    flat: list[Any] = []
    for value in message:
        flat += value if isinstance(value, UpFrame | DownFrame) else (value,)
    return [
        {"bin": value.hex()}
        if isinstance(value, bytes)
        else (list(value) if isinstance(value, tuple) else value)
        for value in flat
    ]


def _malformed() -> list[tuple[bytes, str]]:
    pcm = b"\x01\x02"
    shapes: tuple[tuple[Any, str], ...] = (
        ({}, "a map"),
        (7, "no array"),
        ([], "an empty array"),
        ([0, 1], "unknown message"),
        ([13, 1], "unknown message"),
        (["1", 1, 1], "first element is no integer"),
        ([True, 1, 1], "first element is bool"),
        ([1, 1], "PING lacks an element"),
        ([1, 1, 1, 1], "PING has one too many"),
        ([2], "PONG lacks its number"),
        ([4, 1, 1, 0, 0, 0], "UP lacks its payload"),
        ([4, 0, 1, 0, 0, 0, pcm], "UP of session 0"),
        ([4, 1 << 32, 1, 0, 0, 0, pcm], "UP of a session past 32 bits"),
        ([4, 1, 0, 0, 0, 0, pcm], "UP with seq 0"),
        ([4, 1, 1, 0, 0, 0, b""], "UP with an empty payload"),
        ([4, 1, 1, 0, 0, 0, bytes(1001)], "UP with 1,001 bytes"),
        ([4, 1, 1, 0, 0, 0, "ab"], "payload is str"),
        ([5, 1, 1, 0, 0, 0, pcm], "DOWN of talkspurt 0"),
        ([5, 1, 1, 1, 0, 60_001, pcm], "DOWN with a lead of 60,001 ms"),
        ([6, 1, 0, 0], "LAST with seq 0"),
        ([6, 1, 1, 60_001], "LAST with a lead of 60,001 ms"),
        ([7, 1, 5], "NACK without an array"),
        ([7, 1, list(range(65))], "NACK of 65"),
        ([7, 1, [[1]]], "NACK of arrays"),
        ([8, 1, 0, 3, True, b""], "FRAGMENT with seq 0"),
        ([8, 1, 1, 3, 1, b""], "is-last is no bool"),
        ([8, 1, 1, 3, True, ""], "FRAGMENT of str"),
        ([8, 1, 1, 3, True, bytes(1101)], "FRAGMENT of 1,101 bytes"),
        ([9, 1, 5, 261, [6]], "ACK with half a pair"),
        ([9, 1, 5, 261, [6, 6]], "ACK with an empty range"),
        ([9, 1, 5, 261, [8, 9, 6, 7]], "ACK with ranges out of order"),
        ([9, 1, 5, 261, [5, 6]], "ACK with a range at next seq"),
        ([9, 1, 5, 261, list(range(6, 40))], "ACK with 17 pairs"),
        ([10, 1], "RESET lacks its code"),
        ([11, 1, 1], "FLUSH lacks its talkspurt"),
        ([12, 1, 1, 1], "FLUSHED lacks its samples"),
    )
    fields = (
        ([Kind.PING, value, 1], f"PING with {value!r} for a number")
        for value in _NO_INTEGER
    )
    packed = [(msgpack.packb(shape), why) for shape, why in (*shapes, *fields)]
    return [
        (b"", "nothing"),
        *packed,
        (b"\x93\x01\x01", "cut off"),
        (b"\x92\x02\x01\x00", "a byte follows the array"),
        (b"\x92\x02\xc1", "0xc1 is never used in msgpack"),
        (b"\x92\x02\xd4\x00\x00", "an extension type"),
        (b"\xdd\xff\xff\xff\xff", "an array that says 4,294,967,295 elements"),
        (b"\xc6\xff\xff\xff\xff", "a bin that says 4,294,967,295 bytes"),
        (b"\x91" * 1100, "arrays nested 1,100 deep"),
    ]
