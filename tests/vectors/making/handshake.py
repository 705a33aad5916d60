"""PROTOCOL.md 3: one handshake, and datagrams that must be met with silence."""

import hmac
import struct
from typing import Any

from proto.handshake import DialerHandshake, LinkKey, ListenerHandshake
from proto.wire import HEADER, HEADER_BYTES, VERSION, DatagramType
from tests.vectors.making.inputs import (
    DIALER_ID,
    DIALER_NONCE,
    KEY,
    LISTENER_SECRET,
    MAC_BYTES,
    NOW,
    body,
)

OFFER_BYTES = 42


def datagrams(key: LinkKey = KEY) -> tuple[bytes, bytes, bytes]:
    """Return HELLO, WELCOME and FINISH."""
    dialer = DialerHandshake(key, DIALER_ID, DIALER_NONCE)
    welcome = ListenerHandshake((key,), LISTENER_SECRET).welcome(dialer.hello(), NOW)
    finish, _ = dialer.welcomed(welcome, NOW)
    return dialer.hello(), welcome, finish


def transcript() -> tuple[bytes, bytes]:
    """Return OFFER and ANSWER."""
    hello, welcome, _ = datagrams()
    return body(hello), body(welcome)


def vectors() -> dict[str, Any]:
    hello, welcome, finish = datagrams()
    link_id, nonce, version = struct.unpack("!I32sB", body(welcome))
    return {
        "dialer_link_id": DIALER_ID,
        "dialer_nonce": DIALER_NONCE.hex(),
        "listener_link_id": link_id,
        "listener_nonce": nonce.hex(),
        "version": version,
        "hello": hello.hex(),
        "welcome": welcome.hex(),
        "finish": finish.hex(),
        "no_common_version": _too_new(),
        "malformed": _malformed(hello, welcome, finish),
    }


def _too_new() -> dict[str, str]:
    """A dialer of versions 2 to 3, and the WELCOME that chooses none."""
    offer = struct.pack("!4sI32sBB", KEY.id, DIALER_ID, DIALER_NONCE, 2, 3)
    header = HEADER.pack(VERSION, DatagramType.HELLO, 0, 0, 0)
    hello = _signed(KEY.hello, header + offer)
    welcome = ListenerHandshake((KEY,), LISTENER_SECRET).welcome(hello, NOW)
    return {"hello": hello.hex(), "welcome": welcome.hex()}


def _signed(key: bytes, text: bytes) -> bytes:
    return text + hmac.digest(key, text, "sha256")


def _malformed(hello: bytes, welcome: bytes, finish: bytes) -> list[dict[str, str]]:
    foreign = datagrams(LinkKey(b"\xff" * 32))
    other_nonce = DialerHandshake(KEY, DIALER_ID, b"\xd2" * 32).hello()
    other = ListenerHandshake((KEY,), LISTENER_SECRET).welcome(other_nonce, NOW)
    offer, answer = body(hello), body(welcome)
    elsewhere = HEADER.pack(VERSION, DatagramType.FINISH, 0, 1, 0)
    finish_key = KEY.secrets(offer + answer).finish
    stranger = bytes(4) + answer[4:]
    stranger_finish = KEY.secrets(offer + stranger).finish
    claimed = HEADER.pack(VERSION, DatagramType.FINISH, 0, 0, 0) + offer + stranger
    cases = (
        ("hello", b"", "empty"),
        ("hello", hello[:-1], "one byte short"),
        ("hello", hello + b"\0", "one byte long"),
        ("hello", _flipped(hello, 20), "another link id than its MAC covers"),
        ("hello", _flipped(hello, len(hello) - 1), "wrong MAC"),
        ("hello", _signed(KEY.welcome, hello[:-MAC_BYTES]), "MAC under another key"),
        ("hello", foreign[0], "key id not known"),
        ("hello", _flipped(hello, 1), "another type than its MAC covers"),
        ("welcome", welcome[:-1], "one byte short"),
        ("welcome", _flipped(welcome, HEADER_BYTES + 36), "version changed to 0"),
        ("welcome", other, "answers another HELLO"),
        ("welcome", foreign[1], "another pre-shared key"),
        ("welcome", _flipped(welcome, len(welcome) - 1), "wrong MAC"),
        ("finish", finish[:-1], "one byte short"),
        ("finish", _flipped(finish, HEADER_BYTES + 10), "nonce changed"),
        ("finish", _flipped(finish, len(finish) - 1), "wrong MAC"),
        (
            "finish",
            _signed(finish_key, elsewhere + offer + answer),
            "header names another link id than ANSWER",
        ),
        (
            "finish",
            _signed(stranger_finish, claimed),
            "an ANSWER that this listener never gave",
        ),
    )
    return [
        {"takes": takes, "datagram": datagram.hex(), "why": why}
        for takes, datagram, why in cases
    ]


def _flipped(datagram: bytes, index: int) -> bytes:
    return datagram[:index] + bytes((datagram[index] ^ 1,)) + datagram[index + 1 :]
