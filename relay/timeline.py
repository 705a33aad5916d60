"""The caller's timeline, kept true for an upstream that counts samples.

An upstream knows time only by the audio it gets: the end of a turn is so many samples
of silence. Where the edge sent nothing (discontinuous transmission) or a frame was
lost for good, silence of the same length stands in, up to a bound.
"""

from proto.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ

MAX_FILL_SAMPLES = 2 * SAMPLE_RATE_HZ
"""Silence for one gap: 2 s, longer than any usual end-of-turn silence (0.5 s) and short
enough that a wild position costs little. A longer gap is shortened to this."""


class Timeline:
    """How far the upstream's timeline has come, in samples of the caller's."""

    def __init__(self) -> None:
        self._next_samples: int | None = None

    def gap_before(self, position_samples: int, samples: int) -> int:
        """Return the silence to insert before a frame, and move past the frame.

        Before the first frame there is none: the call was being set up.
        """
        expected = self._next_samples
        self._next_samples = position_samples + samples
        if expected is None or position_samples <= expected:
            return 0
        return min(position_samples - expected, MAX_FILL_SAMPLES)

    def lost(self, frames: int) -> int:
        """Return the silence that stands in for frames lost, and move past them."""
        if self._next_samples is None:
            return 0
        samples = frames * FRAME_SAMPLES
        self._next_samples += samples
        return min(samples, MAX_FILL_SAMPLES)
