"""The audio that crosses the link: one frame and where it belongs.

What a frame carries was agreed when its session opened (`proto.payload`): PCM, s16le,
mono, 24 kHz, unless said otherwise. Positions count samples of 24 kHz whatever it is.
These are tuples because one is made for each frame of each
session: building one costs a fifth of a frozen dataclass.
"""

from typing import NamedTuple

SAMPLE_RATE_HZ = 24_000
"""Sample rate of all audio on the link (what the Realtime API speaks)."""

SAMPLE_BYTES = 2
"""Bytes of one sample (s16le)."""

FRAME_MS = 20
"""Longest duration of one frame in milliseconds."""

FRAME_SAMPLES = 480
"""Samples of a full frame: 20 ms at 24 kHz."""

FRAME_BYTES = FRAME_SAMPLES * SAMPLE_BYTES
"""Bytes of a full frame: 960."""


class UpFrame(NamedTuple):
    """Audio from the caller to the model.

    Attributes:
        position_samples: Media time of the first sample since the session began;
            jumps over silence that was not sent.
        heard_talkspurt: The talkspurt last played to the caller; 0: none yet.
        heard_samples: Samples of that talkspurt already played.
        payload: The sound; of PCM 1 to 480 samples.
    """

    position_samples: int
    heard_talkspurt: int
    heard_samples: int
    payload: bytes


class DownFrame(NamedTuple):
    """Audio from the model to the caller.

    Attributes:
        talkspurt: Counts from 1; audio is contiguous within one.
        position_samples: Of the first sample, since the talkspurt began.
        lead_ms: How long after its arrival it is due for playing; 0: at once.
        payload: The sound; of PCM 1 to 480 samples.
    """

    talkspurt: int
    position_samples: int
    lead_ms: int
    payload: bytes


new_tuple = tuple.__new__
"""Makes a named tuple of its type and fields in C, for hot paths: the type's own
constructor is Python, and takes twice as long."""
