"""A voice and an ear for tests: text to PCM, and PCM back to text.

The models are those of the built-in engine's packages, used directly, so that what a
test says and hears does not pass through the code under test. Each loads only once.
"""

import functools
import os

import numpy as np
from hibari import Hibari
from moonshine_voice import ModelArch, get_model_path
from moonshine_voice.transcriber import Transcriber

from proto.frames import SAMPLE_RATE_HZ
from tests.support.sound import Pcm, silence

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


def transcribe(pcm: Pcm) -> str:
    """Return what is said."""
    padded = np.concatenate([silence(_LEAD_S), pcm, silence(_LEAD_S)]) / 32768
    count = len(padded) * _EAR_RATE_HZ // SAMPLE_RATE_HZ
    moments = np.arange(count) * (SAMPLE_RATE_HZ / _EAR_RATE_HZ)
    narrow = np.interp(moments, np.arange(len(padded)), padded)
    transcript = _ear().transcribe_without_streaming(narrow.tolist(), _EAR_RATE_HZ)
    return " ".join(line.text.strip() for line in transcript.lines).strip()
