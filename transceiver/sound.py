"""What the edge must know of a downlink payload: how long it is, and its silence."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from codec import opus
from proto.frames import FRAME_BYTES, SAMPLE_BYTES
from proto.payload import Payload


class Sound(NamedTuple):
    """One kind of payload.

    Attributes:
        samples: Returns the duration of one, at 24 kHz; 0: it is none.
        silence: 20 ms of silence.
        is_opus: It goes to the caller as it is.
    """

    samples: Callable[[bytes], int]
    silence: bytes
    is_opus: bool = False


PCM = Sound(lambda payload: len(payload) // SAMPLE_BYTES, bytes(FRAME_BYTES))

OPUS = Sound(
    opus.packet_samples, opus.Encoder().encode(bytes(FRAME_BYTES)), is_opus=True
)

SOUNDS: Mapping[Payload, Sound] = {Payload.PCM: PCM, Payload.OPUS: OPUS}
"""Those that the edge speaks."""
