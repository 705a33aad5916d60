"""Text to speech by Hibari: one American voice, inside its wheel, at 24 kHz."""

import os

import numpy as np
from hibari import Hibari

from relay.engine.errors import StageError
from relay.engine.ports import Samples

_FULL_SCALE = 32767.0
_MIN_SPEED, _MAX_SPEED = 0.5, 2.0
"""What the model was made for; slower or faster asked is clipped to it."""

_NOISE_SEED = 0
"""The same words always sound the same."""


class HibariSpeaking:
    """A `TextToSpeech`; loading takes about a second."""

    def __init__(self) -> None:
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before onnxruntime loads
        self._voice = Hibari()
        self.speak("Ready.", 1.0)  # loads the pronunciation data, which is lazy

    def speak(self, text: str, speed: float) -> Samples:
        """Return the spoken text."""
        pace = min(max(speed, _MIN_SPEED), _MAX_SPEED)
        try:
            wave = self._voice(text, speed=pace, seed=_NOISE_SEED)
        except RuntimeError as error:  # onnxruntime's errors all descend from it
            raise StageError("speech_failed", str(error)) from error
        pcm: Samples = (np.clip(wave, -1.0, 1.0) * _FULL_SCALE).astype(np.int16)
        return pcm
