"""What is said: sentences with the sounds of English in about their usual shares.

Written for this benchmark in the manner of the Harvard sentences (IEEE 297); spoken by
the engine's own text to speech, which says the same words always the same way.
"""

from dataclasses import dataclass

import numpy as np

from proto.frames import FRAME_SAMPLES
from relay.engine.ports import Samples, TextToSpeech

TEXTS = (
    "The boat drifted past the old stone bridge.",
    "Fresh bread and warm soup filled the kitchen.",
    "She wrapped the blue gift with a silk ribbon.",
    "Five loud geese crossed the muddy field.",
    "The judge gave a short speech before lunch.",
    "Leave the heavy box beside the garden gate.",
    "A cold wind shook the leaves off the oak.",
    "He sold his bike and bought a ticket home.",
    "The clerk marked each page with a red pencil.",
    "Most of the snow had melted by the weekend.",
    "Bright stars guide the ship through the night.",
    "They drew fresh water from a deep well.",
    "The child threw a smooth stone into the pond.",
    "Thick smoke rose from the chimney of the farm.",
    "The doctor asked him to breathe slowly.",
    "The teacher wrote the answer in large letters.",
    "Just before dawn they reached the highest ridge.",
    "Both sides agreed to share the cost.",
    "The yellow bus stopped near the village church.",
    "A gentle voice woke the boy from his dream.",
)

BEFORE_SAMPLES = 5 * FRAME_SAMPLES
AFTER_SAMPLES = 10 * FRAME_SAMPLES
"""100 and 200 ms of silence: more than any codec delays, and a pause to score, too."""

PACE = 1.1
"""Brisk, as an assistant speaks."""


@dataclass(frozen=True, slots=True)
class Speech:
    """All sentences, one after the other.

    Attributes:
        pcm: int16, (samples,), mono 24 kHz, whole frames of 20 ms.
        starts: First sample of each sentence, and the end.
    """

    pcm: Samples
    starts: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of sentences."""
        return len(self.starts) - 1

    def part(self, pcm: Samples, number: int) -> Samples:
        """Return one sentence of what became of this speech."""
        return pcm[self.starts[number] : self.starts[number + 1]]

    @property
    def frames(self) -> list[bytes]:
        """Frames of 20 ms: s16le, mono, 24 kHz."""
        return [frame.tobytes() for frame in self.pcm.reshape(-1, FRAME_SAMPLES)]


def spoken(voice: TextToSpeech) -> Speech:
    """Have all sentences said."""
    parts = [_padded(voice.speak(text, PACE)) for text in TEXTS]
    starts = np.cumsum([0, *map(len, parts)])
    return Speech(np.concatenate(parts), tuple(map(int, starts)))


def _padded(pcm: Samples) -> Samples:
    after = AFTER_SAMPLES + -len(pcm) % FRAME_SAMPLES
    return np.pad(pcm, (BEFORE_SAMPLES, after))
