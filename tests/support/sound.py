"""Sound as tests and benchmarks handle it, without a model to make or hear it."""

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from proto.frames import SAMPLE_RATE_HZ

Pcm = NDArray[np.int16]
"""int16, (samples,), mono 24 kHz."""


def silence(duration_s: float) -> Pcm:
    """Return digital silence."""
    return np.zeros(round(duration_s * SAMPLE_RATE_HZ), np.int16)


def babble(duration_s: float, seed: int) -> Pcm:
    """Return a voice-like sound without repetition, for one to be found in another."""
    rng = np.random.default_rng(seed)
    count = round(duration_s * SAMPLE_RATE_HZ)
    syllable = SAMPLE_RATE_HZ // 8
    knots = np.arange(0, count + syllable, syllable)
    pitch_hz = np.interp(np.arange(count), knots, rng.uniform(90, 220, len(knots)))
    loudness = np.interp(np.arange(count), knots, rng.uniform(0.1, 1.0, len(knots)))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    voice = sum(np.sin(n * phase) / n for n in range(1, 12))
    noise = 0.05 * rng.normal(size=count)
    return np.asarray(6000 * loudness * (voice + noise), np.int16)


def lag_samples(sent: Pcm, back: Pcm) -> int:
    """Return by how many samples `back` trails `sent`: the cross-correlation's peak."""
    size = 1 << (len(sent) + len(back)).bit_length()
    spectrum = np.fft.rfft(back, size) * np.conj(np.fft.rfft(sent, size))
    peak = int(np.argmax(np.fft.irfft(spectrum, size)))
    return peak if peak < size // 2 else peak - size


def at_48_khz(pcm: Pcm) -> NDArray[np.int16]:
    """Return it at 48 kHz, as browsers have it (linear interpolation)."""
    at = np.arange(2 * len(pcm)) / 2
    return np.interp(at, np.arange(len(pcm)), pcm).astype(np.int16)


def at_24_khz(samples: NDArray[np.int16]) -> Pcm:
    """Return 48 kHz at 24 kHz (mean of each two samples)."""
    pairs = samples[: len(samples) // 2 * 2].reshape(-1, 2).astype(np.int32)
    return np.asarray(pairs.mean(axis=1), np.int16)


def write_wav(path: Path, pcm: Pcm) -> None:
    """Write PCM as a 24 kHz mono WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(pcm.itemsize)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(pcm.astype("<i2").tobytes())
