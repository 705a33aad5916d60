"""Plain aiortc, the whole of its audio path but the network: its own code does it all.

Its encoder is libopus by PyAV at 48 kHz stereo, 96 kbit/s, VOIP application, without
FEC. Its receiver's jitter buffer holds 16 packets and neither decodes FEC nor conceals:
what is lost is missing from the frames that it gives, which say by their time where.
A frame leaves only with four more behind it: near a gap all wait until the buffer is
full, and then good ones are thrown away with the lost one, four for each.
"""

from collections.abc import Sequence

import av
import numpy as np
from aiortc.codecs.opus import OpusDecoder, OpusEncoder
from aiortc.jitterbuffer import JitterBuffer
from aiortc.rtp import RtpPacket

from bench.quality.caller import FRAME_TICKS, Packet
from bench.quality.pieces import Pieces
from proto.frames import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_RATE_HZ

CAPACITY, PREFETCH = 16, 4
"""Packets: as `aiortc.RTCRtpReceiver` sets them for audio."""


def say(frames: Sequence[bytes]) -> list[Packet]:
    """Return what it sends of frames: s16le, mono, 24 kHz, 20 ms."""
    encoder = OpusEncoder()
    payloads: list[bytes] = []
    for number, pcm in enumerate(frames):
        frame = av.AudioFrame.from_ndarray(
            np.frombuffer(pcm, np.int16).reshape(1, -1), format="s16", layout="mono"
        )
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.pts = number * FRAME_SAMPLES
        payloads += encoder.encode(frame)[0]
    return [Packet(number, False, payload) for number, payload in enumerate(payloads)]


def hear(packets: Sequence[Packet | None]) -> Pieces:
    """Return what its user gets of a caller's packets; None: lost on the way."""
    buffer, decoder = JitterBuffer(CAPACITY, PREFETCH), OpusDecoder()
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
    times: list[int] = []
    pieces: list[bytes] = []
    for sequence, packet in enumerate(packets):
        if packet is None:
            continue
        arrived = RtpPacket(
            sequence_number=sequence, timestamp=packet.frame * FRAME_TICKS
        )
        arrived._data = packet.payload  # type: ignore[attr-defined]  # as its router does
        _, encoded = buffer.add(arrived)
        if encoded is None:
            continue
        for frame in decoder.decode(encoded):
            assert isinstance(frame, av.AudioFrame)
            times.append(encoded.timestamp // 2)  # ticks of 48 kHz to samples of 24
            pieces += [
                piece.to_ndarray().tobytes() for piece in resampler.resample(frame)
            ]
    pcm = b"".join(pieces)
    return [
        (at, pcm[number * FRAME_BYTES : (number + 1) * FRAME_BYTES])
        for number, at in enumerate(times)
    ]
