"""A voice and an ear for tests: text to 24 kHz PCM, and PCM back to text.

The models are those of the built-in engine's packages, used directly, so that what a
test says and hears does not pass through the code under test. Each loads only once.
"""

import functools
import os
import wave
from pathlib import Path

import numpy as np
from hibari import Hibari
from moonshine_voice import ModelArch, get_model_path
from moonshine_voice.transcriber import Transcriber
from numpy.typing import NDArray

Pcm = NDArray[np.int16]
"""int16, (samples,), mono 24 kHz."""

RATE_HZ = 24_000
_EAR_RATE_HZ = 16_000
_LEAD_S = 0.3
"""Silence that the recogniser likes before and after what it hears."""


@functools.cache
def _voice() -> Hibari:
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before onnxruntime loads
    return Hibari()


@functools.cache
def _ear() -> Transcriber:
    return Transcriber(get_model_path("tiny-en"), ModelArch.TINY)


@functools.cache
def _spoken(text: str, speed: float) -> bytes:
    heard = _voice()(text, speed=speed, seed=1)
    pcm: bytes = (np.clip(heard, -1.0, 1.0) * 32767).astype("<i2").tobytes()
    return pcm


def speak(text: str, *, speed: float = 1.0) -> Pcm:
    """Return a text spoken, the same at every call."""
    return np.frombuffer(_spoken(text, speed), "<i2").astype(np.int16)


def silence(duration_s: float) -> Pcm:
    """Return digital silence."""
    return np.zeros(round(duration_s * RATE_HZ), np.int16)


def transcribe(pcm: Pcm | bytes) -> str:
    """Return what is said in 24 kHz PCM (samples, or s16le bytes)."""
    samples = np.frombuffer(pcm, "<i2") if isinstance(pcm, bytes) else pcm
    padded = np.concatenate([silence(_LEAD_S), samples, silence(_LEAD_S)]) / 32768
    count = len(padded) * _EAR_RATE_HZ // RATE_HZ
    moments = np.arange(count) * (RATE_HZ / _EAR_RATE_HZ)
    narrow = np.interp(moments, np.arange(len(padded)), padded)
    transcript = _ear().transcribe_without_streaming(narrow.tolist(), _EAR_RATE_HZ)
    return " ".join(line.text.strip() for line in transcript.lines).strip()


def write_wav(path: Path, pcm: Pcm) -> None:
    """Write PCM as a 24 kHz mono WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm.astype("<i2").tobytes())
