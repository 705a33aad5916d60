"""PROTOCOL.md 14: a tunnel's proofs, its keys, and what is sealed in it."""

import hmac
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proto.channel import KEY_MESSAGES, EdgeHandshake, RelayHandshake, tunnel_key
from proto.request import SessionRequest
from proto.seal import expand
from proto.tunnel import (
    Admitted,
    Attach,
    Converse,
    Describe,
    Facts,
    HangUp,
    Refused,
    encode_answer,
    encode_request,
)
from tests.vectors.making.inputs import MAC_BYTES, PSK

EDGE_NONCE = b"\xe1" * 32
RELAY_NONCE = b"\x12" * 32
KEY = tunnel_key(PSK)


def vectors() -> dict[str, Any]:
    hello = EdgeHandshake(KEY, EDGE_NONCE).hello()
    welcome, relay = RelayHandshake((KEY,)).verified(hello).welcome(RELAY_NONCE)
    edge = EdgeHandshake(KEY, EDGE_NONCE).welcomed(welcome)
    secrets = KEY.secrets(hello[:-MAC_BYTES] + RELAY_NONCE)
    first, second = edge.seal(b"one"), edge.seal(b"two")
    answer = relay.seal(b"three")
    return {
        "psk": PSK.hex(),
        "tunnel_secret": hmac.digest(b"tandem tunnel 1", PSK, "sha256").hex(),
        "key_id": KEY.id.hex(),
        "edge_nonce": EDGE_NONCE.hex(),
        "relay_nonce": RELAY_NONCE.hex(),
        "hello": hello.hex(),
        "welcome": welcome.hex(),
        "up_secret": secrets.up.hex(),
        "down_secret": secrets.down.hex(),
        "sealed": [
            {
                "secret": "up",
                "number": 1,
                "message": b"one".hex(),
                "sealed": first.hex(),
            },
            {
                "secret": "up",
                "number": 2,
                "message": b"two".hex(),
                "sealed": second.hex(),
            },
            {
                "secret": "down",
                "number": 1,
                "message": b"three".hex(),
                "sealed": answer.hex(),
            },
            _after_rotation(secrets.up),
        ],
        "traces": [
            {
                "name": name,
                "secret": "up",
                "sealed": [sealed.hex() for sealed in steps],
                "opened": opened,
            }
            for name, steps, opened in (
                ("in order", (first, second), 2),
                ("one is missing", (second,), 0),
                ("one comes twice", (first, first, second), 1),
                ("reflected", (answer, first), 0),
                ("changed", (first[:-1] + b"\0", first), 0),
                ("shorter than a tag", (first, b"\0"), 1),
            )
        ],
        "malformed": _malformed(hello, welcome),
        "messages": _messages(),
        "malformed_messages": _malformed_messages(),
    }


def _after_rotation(secret: bytes) -> dict[str, Any]:
    """Message 65,537: the first under the second key."""
    later = expand(secret, b"next")
    nonce = int.from_bytes(expand(later, b"iv", 12)) ^ 1
    sealed = AESGCM(expand(later, b"key")).encrypt(nonce.to_bytes(12), b"later", None)
    return {
        "secret": "up",
        "number": KEY_MESSAGES + 1,
        "message": b"later".hex(),
        "sealed": sealed.hex(),
    }


def _malformed(hello: bytes, welcome: bytes) -> list[dict[str, str]]:
    foreign = EdgeHandshake(tunnel_key(b"\xff" * 32), EDGE_NONCE).hello()
    return [
        {"takes": takes, "bytes": data.hex(), "why": why}
        for takes, data, why in (
            ("hello", b"", "empty"),
            ("hello", hello[:-1], "one byte short"),
            ("hello", hello + b"\0", "one byte long"),
            ("hello", hello[:-1] + bytes((hello[-1] ^ 1,)), "wrong MAC"),
            ("hello", foreign, "key id not known"),
            ("welcome", b"", "empty"),
            ("welcome", welcome[:-1], "one byte short"),
            ("welcome", welcome + b"\0", "one byte long"),
            ("welcome", bytes((welcome[0] ^ 1,)) + welcome[1:], "nonce changed"),
        )
    ]


def _messages() -> list[dict[str, str]]:
    request = SessionRequest(call_id="sess_1", tenant="t", session={"model": "m"})
    requests = (
        Converse(request),
        Attach("rtc_1", "t", speaks_beta=True),
        HangUp("rtc_1", "t"),
        Describe("rtc_1", "t"),
    )
    answers = (
        Admitted(),
        Facts({"state": "live"}),
        Refused(404, "call_not_found", "no such call"),
    )
    return [
        *({"from": "edge", "json": encode_request(it).decode()} for it in requests),
        *({"from": "relay", "json": encode_answer(it).decode()} for it in answers),
    ]


def _malformed_messages() -> list[dict[str, str]]:
    return [
        {"from": sender, "json": text, "why": why}
        for sender, text, why in (
            ("edge", "", "no JSON"),
            ("edge", "[]", "no object"),
            ("edge", '{"type":"of_tomorrow"}', "unknown type"),
            ("edge", '{"type":"converse"}', "no request"),
            ("edge", '{"type":"converse","request":{"call_id":"c"}}', "no tenant"),
            (
                "edge",
                '{"type":"attach","call_id":1,"tenant":"t"}',
                "call_id is no text",
            ),
            ("edge", '{"type":"hang_up","call_id":"rtc_1"}', "no tenant"),
            ("relay", '{"type":"facts"}', "no fields"),
            ("relay", '{"type":"facts","fields":[]}', "fields are no object"),
            (
                "relay",
                '{"type":"refused","status":200,"code":"c","message":"m"}',
                "no status of a refusal",
            ),
            ("relay", '{"type":"refused","status":404}', "no code, no message"),
        )
    ]
