"""What the edge must know of a payload: how it is made, read, counted, and silent."""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

from codec import g711, opus
from proto.frames import FRAME_BYTES, SAMPLE_BYTES
from proto.payload import Payload
from transceiver.voice import AsItCame, Decoded, Narrowed

Read = Callable[[bytes], bytes]
"""Payload in, PCM out: s16le, mono, 24 kHz."""


class Sound(NamedTuple):
    """One kind of payload.

    Attributes:
        samples: Returns the duration of one, at 24 kHz; 0: it is none.
        silence: 20 ms of silence.
        uplink: Makes what turns a caller's packets into such payloads.
        reader: Makes what reads one talkspurt of them; None: they are the caller's own
            codec, and go on as they are.
    """

    samples: Callable[[bytes], int]
    silence: bytes
    uplink: Callable[[], AsItCame | Decoded]
    reader: Callable[[], Read] | None


PCM = Sound(
    samples=lambda payload: len(payload) // SAMPLE_BYTES,
    silence=bytes(FRAME_BYTES),
    uplink=Decoded,
    reader=lambda: bytes,
)

OPUS = Sound(
    samples=opus.packet_samples,
    silence=opus.Encoder().encode(bytes(FRAME_BYTES)),
    uplink=AsItCame,
    reader=None,
)


def _g711(law: Payload) -> Sound:
    return Sound(
        samples=lambda payload: len(payload) * g711.RATIO,
        silence=g711.Narrow(law).encode(bytes(FRAME_BYTES)),
        uplink=functools.partial(Narrowed, law),
        reader=lambda: g711.Wide(law).decode,
    )


SOUNDS: Mapping[Payload, Sound] = {
    Payload.PCM: PCM,
    Payload.OPUS: OPUS,
    Payload.PCMU: _g711(Payload.PCMU),
    Payload.PCMA: _g711(Payload.PCMA),
}
