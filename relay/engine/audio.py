"""Audio as the wire has it (base64 of PCM or G.711) and as the engine has it.

Owns sample formats and rates, nothing else. The engine works on int16 mono 24 kHz.
"""

import base64
import binascii
from typing import Any

import av
import numpy as np

from relay.engine.errors import ClientError
from relay.engine.ports import SAMPLE_RATE_HZ, Samples

G711_RATE_HZ = 8_000
"""Rate of audio/pcmu and audio/pcma (ITU-T G.711)."""


class Resampler:
    """Changes the sampling rate of a stream; keeps its filter between calls."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._from_hz = from_hz
        self._swr = av.AudioResampler(format="s16", layout="mono", rate=to_hz)

    def feed(self, pcm: Samples) -> Samples:
        """Return what is ready; less than a millisecond stays in the filter."""
        if not len(pcm):
            return pcm
        frame = av.AudioFrame.from_ndarray(
            pcm.reshape(1, -1), format="s16", layout="mono"
        )
        frame.sample_rate = self._from_hz
        ready = [piece.to_ndarray()[0] for piece in self._swr.resample(frame)]
        return np.concatenate(ready) if ready else pcm[:0]


def _mulaw_table() -> Samples:
    """Return the 256 linear values of u-law (ITU-T G.711, table 2a)."""
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = (((code & 0x0F).astype(np.int32) << 3) + 0x84) << ((code >> 4) & 7)
    return np.where(code & 0x80, 0x84 - magnitude, magnitude - 0x84).astype(np.int16)


def _alaw_table() -> Samples:
    """Return the 256 linear values of A-law (ITU-T G.711, table 1a)."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent = ((code >> 4) & 7).astype(np.int32)
    mantissa = ((code & 0x0F).astype(np.int32) << 4) + 8
    magnitude = np.where(
        exponent == 0, mantissa, (mantissa + 0x100) << np.maximum(exponent - 1, 0)
    )
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


_G711 = {"audio/pcmu": _mulaw_table(), "audio/pcma": _alaw_table()}


def _nearest_codes(table: Samples) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return, for each int16 value from -32768 up, the code that lies nearest."""
    order = np.argsort(table, kind="stable")
    levels = table[order].astype(np.int32)
    edges = (levels[1:] + levels[:-1]) / 2
    return order[np.searchsorted(edges, np.arange(-32768, 32768))].astype(np.uint8)


_G711_CODES = {name: _nearest_codes(table) for name, table in _G711.items()}


class Decoder:
    """Client audio of one format to samples."""

    def __init__(self, format_type: str) -> None:
        self.format_type = format_type
        self.table = _G711.get(format_type)
        self._resampler = Resampler(G711_RATE_HZ, SAMPLE_RATE_HZ)

    def decode(self, text: str, param: str = "audio") -> Samples:
        """Return the samples of base64 text.

        Raises:
            ClientError: Not base64, or half a sample.
        """
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise ClientError(
                "invalid_value", f"Invalid '{param}': expected base64 audio.", param
            ) from None
        if self.table is not None:
            return self._resampler.feed(self.table[np.frombuffer(data, np.uint8)])
        if len(data) % 2:
            raise ClientError(
                "invalid_value", f"Invalid '{param}': an odd number of bytes.", param
            )
        return np.frombuffer(data, "<i2").astype(np.int16, copy=False)


class Encoder:
    """Samples to model audio of one format."""

    def __init__(self, format_type: str) -> None:
        self._codes = _G711_CODES.get(format_type)
        self._resampler = Resampler(SAMPLE_RATE_HZ, G711_RATE_HZ)

    def encode(self, pcm: Samples) -> str:
        """Return base64 text."""
        if self._codes is None:
            return base64.b64encode(pcm.astype("<i2", copy=False).tobytes()).decode()
        narrow = self._resampler.feed(pcm).astype(np.int32)
        return base64.b64encode(self._codes[narrow + 32768].tobytes()).decode()


def milliseconds(samples: int) -> int:
    """Return whole milliseconds of a number of samples."""
    return samples * 1000 // SAMPLE_RATE_HZ


def samples_of(duration_ms: int) -> int:
    """Return the samples in a number of milliseconds."""
    return duration_ms * SAMPLE_RATE_HZ // 1000
