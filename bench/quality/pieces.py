"""What a model got of a caller's voice, cut into sentences again. Pure."""

from collections.abc import Sequence

import numpy as np

from bench.quality.sentences import Speech
from relay.engine.ports import Samples

Pieces = Sequence[tuple[int, bytes]]
"""Media time in samples, and PCM: s16le, mono, 24 kHz."""


def placed(pieces: Pieces, speech: Speech) -> list[Samples]:
    """Return each sentence with every piece at its time, and silence between them."""
    pcm = np.zeros(len(speech.pcm), np.int16)
    for at, piece in pieces:
        part = np.frombuffer(piece, np.int16)[: len(pcm) - at]
        pcm[at : at + len(part)] = part
    return [speech.part(pcm, number) for number in range(speech.count)]


def joined(pieces: Pieces, speech: Speech) -> list[Samples]:
    """Return each sentence with its pieces end to end: what is missing takes no time.

    So a model hears them whose user hands on what it gets, as examples do.
    """
    parts = []
    for number in range(speech.count):
        start, end = speech.starts[number : number + 2]
        data = b"".join(piece for at, piece in pieces if start <= at < end)
        parts.append(np.frombuffer(data, np.int16))
    return parts
