"""PROTOCOL.md 5 and 7.1: what audio is carried as, asked, chosen and held to."""

from typing import Any

from proto.payload import BOUNDS, Payload, decode_open, encode_open

_OFFERS = (
    ((), b""),
    ((), b"{}"),
    ((Payload.OPUS,), b"{}"),
    ((Payload.OPUS, Payload.PCMU, Payload.PCMA, Payload.PCM), b"{}"),
)


def vectors() -> dict[str, Any]:
    return {
        "open": [_offer(encode_open(*offer)) for offer in _OFFERS]
        + [_offer(b"\x02\x63\x01{}")],
        "malformed_open": [
            {"payload": data.hex(), "why": why}
            for data, why in (
                (b"", "empty"),
                (b"\x02\x01", "one code of two"),
                (b"\x09" + bytes(9), "nine codes"),
            )
        ],
        "opened": [
            {"offered": offered, "payload": payload, "chosen": chosen}
            for offered, payload, chosen in (
                ([], "00", 0),
                ([1], "00", 0),
                ([1], "01", 1),
                ([2, 1], "01", 1),
                ([1], "02", None),
                ([1], "", None),
                ([1], "63", None),
                ([1], "0101", None),
            )
        ],
        "frames": [
            {"carried_as": payload.value, "bytes": size, "fits": fits}
            for payload, bounds in BOUNDS.items()
            for size, fits in (
                (1, bounds.grain_bytes == 1),
                (bounds.grain_bytes, True),
                (bounds.max_bytes, True),
                (bounds.max_bytes + bounds.grain_bytes, False),
            )
        ],
    }


def _offer(data: bytes) -> dict[str, Any]:
    known, request = decode_open(data)
    return {
        "payload": data.hex(),
        "known": [code.value for code in known],
        "request": request.hex(),
    }
