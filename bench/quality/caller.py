"""What a caller's browser makes of the packets that reach it: a model, simple and kind.

Its jitter buffer is taken to hold 60 ms, which is what Chromium's grows to when packets
repeat two others, so every repeat that arrives comes in time, and no jitter is added.
A frame is played from its own packet or from RED in one of the next; else from in-band
FEC in the next frame's; else concealed. Concealment is libopus's own; Chromium's and
Firefox's stretch what came before instead, for all senders alike.
"""

from collections.abc import Sequence
from typing import NamedTuple

from codec.opus import Decoder, carries_fec
from proto.frames import FRAME_SAMPLES
from transceiver import red
from transceiver.rtp import TICKS_PER_SAMPLE

FRAME_TICKS = FRAME_SAMPLES * TICKS_PER_SAMPLE


class Packet(NamedTuple):
    """One of 20 ms.

    Attributes:
        frame: Which frame of the stream its newest block is.
        is_red: The payload is RED's, else Opus's.
    """

    frame: int
    is_red: bool
    payload: bytes


def collected(
    packets: Sequence[Packet], lost: Sequence[bool], opus_type: int
) -> list[bytes | None]:
    """Return the payload of each frame that arrived, in its own packet or repeated."""
    payloads: list[bytes | None] = [None] * len(lost)
    for packet in packets:
        if lost[packet.frame]:
            continue
        if not packet.is_red:
            payloads[packet.frame] = packet.payload
            continue
        payloads[packet.frame] = red.newest(packet.payload)[1]
        for repeat in red.repeats(packet.payload, opus_type):
            earlier = packet.frame - repeat.offset_ticks // FRAME_TICKS
            if earlier >= 0 and payloads[earlier] is None:
                payloads[earlier] = repeat.payload
    return payloads


def played(payloads: Sequence[bytes | None]) -> bytes:
    """Return what the caller hears: s16le, mono, 24 kHz, all frames."""
    decoder = Decoder()
    pieces: list[bytes] = []
    following = [*payloads[1:], None]
    for payload, after in zip(payloads, following, strict=True):
        if payload is not None:
            pieces.append(decoder.decode(payload))
        elif after is not None and carries_fec(after):
            pieces.append(decoder.decode_fec(after, FRAME_SAMPLES))
        else:
            pieces.append(decoder.conceal(FRAME_SAMPLES))
    return b"".join(pieces)
