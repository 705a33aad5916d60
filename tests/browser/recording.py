"""What was recorded at the browser, and what can be read off it. Times are seconds."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from proto.frames import SAMPLE_RATE_HZ
from tests.support.sound import Pcm, silence

BLOCK_SAMPLES = 240
AUDIBLE_RMS = 0.003 * 32768
"""As the page: -50 dBFS."""

WORDS_WRONG = 0.34
"""The recogniser is the smallest of its kind; a wrong sentence gives near 1."""


@dataclass(frozen=True)
class Span:
    """A stretch of sound."""

    start: float
    end: float


def spans(pcm: Pcm, pause_s: float) -> list[Span]:
    """Return the stretches of sound; shorter pauses than `pause_s` do not part them."""
    blocks = pcm[: len(pcm) // BLOCK_SAMPLES * BLOCK_SAMPLES].reshape(-1, BLOCK_SAMPLES)
    rms = np.sqrt(np.mean(blocks.astype(np.float64) ** 2, axis=1))
    loud = [int(index) for index in np.flatnonzero(rms > AUDIBLE_RMS)]
    if not loud:
        return []
    block_s = BLOCK_SAMPLES / SAMPLE_RATE_HZ
    breaks = [
        pair for pair in pairwise(loud) if (pair[1] - pair[0]) * block_s > pause_s
    ]
    starts = [loud[0], *(after for _, after in breaks)]
    ends = [*(before for before, _ in breaks), loud[-1]]
    return [
        Span(start * block_s, (end + 1) * block_s)
        for start, end in zip(starts, ends, strict=True)
    ]


def cut(pcm: Pcm, start: float, end: float) -> Pcm:
    """Return the samples between two times."""
    return pcm[int(start * SAMPLE_RATE_HZ) : int(end * SAMPLE_RATE_HZ)]


def script(lines: Sequence[tuple[float, Pcm]], tail_s: float) -> Pcm:
    """Lay lines out in silence: each after its pause, and `tail_s` at the end."""
    parts = [part for pause_s, line in lines for part in (silence(pause_s), line)]
    return np.concatenate([*parts, silence(tail_s)])


def unpack(text: str) -> Pcm:
    """Read what the recorder in the page hands out."""
    return np.frombuffer(base64.b64decode(text), "<i2").astype(np.int16)


def words(text: str) -> list[str]:
    """Return the words in lower case, without marks."""
    return re.findall(r"[a-z0-9']+", text.lower())


_SMALL = "zero one two three four five six seven eight nine ten"
_FIGURES = {word: str(number) for number, word in enumerate(_SMALL.split())}


def word_error(said: str, heard: str) -> float:
    """Return the share of wrong, missing and added words (edit distance).

    A small number is the same word and figure: a recogniser writes now one, now the
    other.
    """
    reference, found = [[_FIGURES.get(w, w) for w in words(t)] for t in (said, heard)]
    row = list(range(len(found) + 1))
    for index, word in enumerate(reference):
        diagonal, row[0] = row[0], index + 1
        for column, other in enumerate(found, start=1):
            best = min(diagonal + (word != other), row[column] + 1, row[column - 1] + 1)
            diagonal, row[column] = row[column], best
    return row[-1] / max(1, len(reference))
