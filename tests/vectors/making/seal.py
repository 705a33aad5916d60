"""PROTOCOL.md 4: sealed datagrams of three epochs, and what a receiver says to them."""

from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proto.errors import RemoteError
from proto.seal import REPLAY_WINDOW, Opener, Replayed, Unauthentic, expand
from proto.wire import HEADER, VERSION, DatagramType

SECRET = b"\x77" * 32
LINK_ID = 0x01020304


def datagram(epoch: int, counter: int, plaintext: bytes, **header: int) -> bytes:
    """Seal by the document, for a sender's own counter cannot be chosen."""
    secret = SECRET
    for _ in range(epoch):
        secret = expand(secret, b"next")
    fields = {"version": VERSION, "type": int(DatagramType.SEALED), **header}
    head = HEADER.pack(fields["version"], fields["type"], epoch, LINK_ID, counter)
    nonce = int.from_bytes(expand(secret, b"iv", 12)) ^ counter
    aead = AESGCM(expand(secret, b"key"))
    return head + aead.encrypt(nonce.to_bytes(12), plaintext, head)


def vectors() -> dict[str, Any]:
    return {
        "secret": SECRET.hex(),
        "link_id": LINK_ID,
        "sealed": [
            {
                "epoch": epoch,
                "counter": counter,
                "plaintext": plaintext.hex(),
                "datagram": datagram(epoch, counter, plaintext).hex(),
            }
            for epoch, counter, plaintext in (
                (0, 1, b"\x92\x02\x01"),
                (0, 2, b""),
                (1, 3, b"\x92\x02\x03"),
                (2, 2**32, b"\x92\x02\x04"),
                (2, 2**63 - 1, bytes(1168)),
            )
        ],
        "traces": [
            {"name": name, "steps": _traced(steps)} for name, steps in _traces()
        ],
    }


def _traces() -> list[tuple[str, list[bytes]]]:
    text = b"\x92\x02\x01"
    first, forged = datagram(0, 1, text), datagram(0, 2, text)[:-1] + b"\0"
    far = REPLAY_WINDOW + 7
    return [
        ("nothing opens twice", [first, first, datagram(0, 2, text), first]),
        (
            "later first, within the window",
            [datagram(0, n, text) for n in (9, 3, 8, 3, 1, 9)],
        ),
        (
            "too old to tell",
            [datagram(0, n, text) for n in (far, 8, 7, 6, far - REPLAY_WINDOW)],
        ),
        ("counter 0 is never used", [datagram(0, 0, text), first]),
        (
            "a forged one uses up no counter",
            [forged, datagram(0, 2, text)],
        ),
        (
            "epochs: the next is followed, the one before still opens, others do not",
            [
                datagram(0, 1, text),
                datagram(2, 9, text),
                datagram(1, 3, text),
                datagram(0, 2, text),
                datagram(2, 4, text),
                datagram(0, 5, text),
                datagram(1, 6, text),
                datagram(4, 7, text),
                datagram(2, 8, text),
            ],
        ),
        (
            "every bit of the header is under the tag",
            [
                bytes((first[0], first[1] ^ 1)) + first[2:],
                first[:4] + b"\xff" + first[5:],
                first[:15] + b"\x05" + first[16:],
                bytes((2,)) + first[1:],
                datagram(0, 5, text, version=2),
                first,
            ],
        ),
    ]


def _traced(steps: list[bytes]) -> list[dict[str, str]]:
    opener = Opener(SECRET)
    return [{"datagram": step.hex(), **opened(opener, step)} for step in steps]


def opened(opener: Opener, step: bytes) -> dict[str, str]:
    """Return what a receiver says to a datagram."""
    try:
        return {"plaintext": opener.open(step).hex()}
    except Replayed:
        return {"refused": "replayed"}
    except Unauthentic:
        return {"refused": "not authentic"}
    except RemoteError as error:
        return {"refused": str(error)}
