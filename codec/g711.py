"""G.711 (u-law and A-law at 8 kHz) from and to PCM of 24 kHz, in step.

What goes in comes out as long, 2 ms later: what the filter of the resampler (FFmpeg's,
by PyAV) holds back is let go in silence at the beginning. PCM is s16le, mono.
"""

import bisect
import functools
import itertools
from array import array

import av

from proto.frames import FRAME_SAMPLES, SAMPLE_BYTES, SAMPLE_RATE_HZ
from proto.payload import Payload

RATE_HZ = 8_000
RATIO = SAMPLE_RATE_HZ // RATE_HZ
"""Samples of PCM for one of G.711."""


def mulaw_level(code: int) -> int:
    """Return the value of a u-law code (ITU-T G.711, table 2a)."""
    code ^= 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 7)
    return 0x84 - magnitude if code & 0x80 else magnitude - 0x84


def alaw_level(code: int) -> int:
    """Return the value of an A-law code (ITU-T G.711, table 1a)."""
    code ^= 0x55
    exponent, magnitude = (code >> 4) & 7, ((code & 0x0F) << 4) + 8
    if exponent:
        magnitude = (magnitude + 0x100) << (exponent - 1)
    return magnitude if code & 0x80 else -magnitude


_LEVELS = {Payload.PCMU: mulaw_level, Payload.PCMA: alaw_level}


@functools.cache
def levels(law: Payload) -> tuple[int, ...]:
    """Return the value of each code."""
    return tuple(map(_LEVELS[law], range(256)))


@functools.cache
def codes(law: Payload) -> bytes:
    """Return the nearest code of each value from -32,768 on."""
    order = sorted(range(256), key=levels(law).__getitem__)
    ascending = [levels(law)[code] for code in order]
    edges = [(low + high) / 2 for low, high in itertools.pairwise(ascending)]
    return bytes(order[bisect.bisect(edges, value)] for value in range(-32768, 32768))


class Narrow:
    """PCM to G.711: one stream."""

    def __init__(self, law: Payload) -> None:
        self._codes = codes(law)
        self._resampler = _Resampler(SAMPLE_RATE_HZ, RATE_HZ)

    def encode(self, pcm: bytes) -> bytes:
        """Return a third as many samples; the number given is a multiple of three."""
        narrow = self._resampler.feed(pcm)
        return bytes(map(self._codes.__getitem__, (s + 32768 for s in narrow)))


class Wide:
    """G.711 to PCM: one stream."""

    def __init__(self, law: Payload) -> None:
        self._levels = levels(law)
        self._resampler = _Resampler(RATE_HZ, SAMPLE_RATE_HZ)

    def decode(self, payload: bytes) -> bytes:
        """Return three samples for each; none for none."""
        narrow = array("h", map(self._levels.__getitem__, payload))
        return self._resampler.feed(narrow.tobytes()).tobytes()


class _Resampler:
    """Changes the rate of a stream; the filter is full from the beginning."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._from_hz = from_hz
        self._swr = av.AudioResampler(format="s16", layout="mono", rate=to_hz)
        self.feed(bytes(FRAME_SAMPLES * SAMPLE_BYTES))

    def feed(self, pcm: bytes) -> "array[int]":
        """Return what comes out for it."""
        samples = array("h")
        if not pcm:
            return samples
        count = len(pcm) // SAMPLE_BYTES
        frame = av.AudioFrame(format="s16", layout="mono", samples=count, align=1)
        frame.sample_rate = self._from_hz
        frame.planes[0].update(pcm)
        for ready in self._swr.resample(frame):
            samples.frombytes(
                memoryview(ready.planes[0])[: ready.samples * SAMPLE_BYTES]
            )
        return samples
