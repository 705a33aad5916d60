"""Which words of the assistant were heard, when its audio was cut.

Speech is made piece by piece (a sentence, a clause), so the place of a piece is exact;
inside one, words are taken to last as long as they are written. A word counts as heard
when it had ended: what the caller did not hear to its end is not to be in the
conversation. The silence around a piece is no part of it, else a last word that was
heard would be lost with a breath that was not.
"""

import re
from typing import NamedTuple

import numpy as np

from relay.engine.ports import Samples

_QUIET = 100
"""Magnitude (of 32768) up to which a sample is silence: -50 dB of full scale."""

_WORD = re.compile(r"\s*\S+\s*")


class Spoken(NamedTuple):
    """A piece of text in an item's audio: from where to where it sounds, in samples."""

    start_samples: int
    end_samples: int
    text: str


def spoken(text: str, pcm: Samples | None, start_samples: int) -> Spoken:
    """Return a piece whose audio begins at a sample of its item."""
    if pcm is None:
        return Spoken(start_samples, start_samples, text)
    sounding = np.flatnonzero(np.abs(pcm.astype(np.int32)) > _QUIET)
    if not len(sounding):
        return Spoken(start_samples, start_samples + len(pcm), text)
    first, last = int(sounding[0]), int(sounding[-1])
    return Spoken(start_samples + first, start_samples + last + 1, text)


def heard(pieces: list[Spoken], cut_samples: int) -> list[Spoken]:
    """Return what was said before a cut: whole pieces, then words of the next one."""
    kept: list[Spoken] = []
    for piece in pieces:
        if piece.end_samples <= cut_samples:
            kept.append(piece)
        elif text := _words_before(piece, cut_samples):
            kept.append(Spoken(piece.start_samples, cut_samples, text))
    return kept


def _words_before(piece: Spoken, cut_samples: int) -> str:
    if cut_samples <= piece.start_samples:
        return ""
    length_samples = piece.end_samples - piece.start_samples
    share = (cut_samples - piece.start_samples) / length_samples
    heard_characters = share * len(piece.text.rstrip())
    ends = [
        word.end()
        for word in _WORD.finditer(piece.text)
        if len(piece.text[: word.end()].rstrip()) <= heard_characters
    ]
    return piece.text[: ends[-1]] if ends else ""
