"""Where each target starts from: the vectors, a few real inputs, and some noise."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tests.fuzz.targets.edge import OFFER
from tests.ingress.test_router import check
from tests.vectors import make

_PACKETS: Final = (
    "806f0001000003c0000000010102030405",
    "906f0002000007800000000100bede000110ff000001020304",
    "b16f000300000b4000000001000000090000000001020302",
    "80c80006000000010000000100000002000003c0000000010000000a",
    "81c90007000000010000000200000001000000640000000000000001ffffffff",
    "81cb000100000001",
    "8fce000500000001000000025245 4d4201031234000000010000".replace(" ", ""),
)
"""RTP: plain, with an extension, with CSRC and padding; RTCP: SR, RR, BYE, REMB."""

_RED: Final = (
    "6ff8010203",
    "ef0f00036ff80102f8030405",
    "ef1e0003ef0f00026ff80102f803f8040506",
    "efd2000278f8",
)
"""The newest alone, one repeat, two, and one from before a pause that is cut off."""

_EVENTS: Final = (
    b'{"type":"session.update","session":{"audio":{"input":{"turn_detection":null}}}}',
    b'{"type":"session.update","session":{"modalities":["text"],"voice":"a"}}',
    b'{"type":"response.output_audio.delta","item_id":"i","delta":"AAAA"}',
    b'{"type":"response.created","response":{"id":"r","conversation_id":null}}',
    b'{"type":"error","error":{"code":"c","event_id":"tandem_relay_1"}}',
    b'{"type":"error","error":{"event_id":' + b"[" * 900 + b"]" * 900 + b"}}",
)

_JSON: Final = ("request", "intake", "upstream", "translation")
_LONGEST_BYTES: Final = 2048


def seeds_of(name: str) -> Sequence[bytes]:
    """Return the seeds of a target; those of scripts are noise of several lengths."""
    rng = random.Random(name)
    noise = [rng.randbytes(size) for size in (0, 1, 8, 40, 200, 600)]
    known = [seed for seed in _known(name) if len(seed) <= _LONGEST_BYTES]
    return [*known, *noise]


def _known(name: str) -> Iterator[bytes]:
    match name:
        case "message" | "close" | "against_edge" | "against_relay":
            yield from _hex(make.read("messages"))
        case "listening" | "dialling" | "stranger":
            yield from _hex(make.read("handshake"))
            yield from _hex(make.read("seal"))
        case "opening":
            yield from _hex(make.read("payload"))
        case "rtp" | "rtcp":
            yield from map(bytes.fromhex, _PACKETS)
        case "red":
            yield from map(bytes.fromhex, _RED)
        case "forwarding":
            yield check("abcd")
            yield from map(bytes.fromhex, _PACKETS)
        case "offer":
            yield OFFER.encode()
            yield OFFER.replace("\n", "\r\n").encode()
        case _ if name in _JSON or name.startswith("tunnel"):
            yield from _EVENTS
            tunnel = make.read("tunnel")
            yield from (it["json"].encode() for it in tunnel["messages"])
            yield from (it["json"].encode() for it in tunnel["malformed_messages"])
            yield from _hex(tunnel)
        case _:
            return


def _hex(value: Any) -> Iterator[bytes]:
    """Yield all bytes in a file of vectors."""
    if isinstance(value, Mapping):
        for it in value.values():
            yield from _hex(it)
    elif isinstance(value, list):
        for it in value:
            yield from _hex(it)
    elif isinstance(value, str):
        try:
            yield bytes.fromhex(value)
        except ValueError:
            return
