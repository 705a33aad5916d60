"""What was heard, in line with what was said: codecs delay by milliseconds. Pure."""

import numpy as np

from relay.engine.ports import SAMPLE_RATE_HZ, Samples

MOST_DELAY_SAMPLES = SAMPLE_RATE_HZ * 30 // 1000
"""30 ms, of which the slowest codec and resampler here take a third."""


def delay_samples(said: Samples, heard: Samples) -> int:
    """Return how much later, at most 30 ms, the one is most like the other."""
    size = 1 << (len(said) + len(heard)).bit_length()
    spectra = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size))
    likeness = np.fft.irfft(spectra, size)
    return int(np.argmax(likeness[: MOST_DELAY_SAMPLES + 1]))


def aligned(said: Samples, heard: Samples) -> Samples:
    """Return what was heard without its delay, as long as what was said."""
    late = heard[delay_samples(said, heard) :][: len(said)]
    return np.pad(late, (0, len(said) - len(late)))
