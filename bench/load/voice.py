"""What the callers say: encoded once, shared by all calls, played in a loop."""

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.load import red
from codec.opus import Decoder, Encoder
from proto.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ
from tests.support.sound import Pcm, babble

BUILT_IN_S = 30.0
"""Length of the built-in speech: longer than any delay that is looked for."""

SHORTEST_S = 5.0
"""Of a loop: sound is looked for 3 s back, and must not be there twice."""


class VoiceError(Exception):
    """The speech cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A loop of speech.

    Attributes:
        payloads: One Opus payload a frame of 20 ms.
        repeated: The same as RED, each with the one before it.
        heard: What a caller's own decoder makes of them: int16, (frames, samples), mono
            24 kHz. Delay is measured against this, so the caller's codec is not in it.
        comfort: The payload of a frame in which nobody speaks (RFC 7587 section 3.1.3).
    """

    payloads: list[bytes]
    repeated: list[bytes]
    heard: Pcm
    comfort: bytes


def encode(pcm: Pcm, expected_loss: int = 0) -> Voice:
    """Encode speech: VOIP, 32 kbit/s, complexity 5, in-band FEC.

    Args:
        pcm: int16, (samples,), mono 24 kHz.
        expected_loss: Of 100 packets; 0 leaves out the repeats of FEC.

    Raises:
        VoiceError: It is shorter than `SHORTEST_S`.
    """
    if len(pcm) < SHORTEST_S * SAMPLE_RATE_HZ:
        raise VoiceError(f"speech must last {SHORTEST_S:g} s at least")
    frames = pcm[: len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    encoder, decoder = Encoder(), Decoder()
    encoder.set_expected_loss(expected_loss)
    payloads = [encoder.encode(frame.tobytes()) for frame in frames]
    decoded = [decoder.decode(payload) for payload in payloads]
    heard = np.frombuffer(b"".join(decoded), np.int16).reshape(-1, FRAME_SAMPLES)
    # A frame of no bytes behind a TOC byte of the same configuration, code 0.
    comfort = bytes((payloads[0][0] & 0xF8,))
    previous = [payloads[-1], *payloads[:-1]]
    repeated = list(map(red.repeat, payloads, previous))
    return Voice(payloads, repeated, heard, comfort)


def built_in() -> Pcm:
    """Return speech-like sound that needs no model and no file."""
    return babble(BUILT_IN_S, seed=1)


def read_wav(path: Path) -> Pcm:
    """Read 16-bit PCM of any rate; the first channel of it.

    Raises:
        VoiceError: It is no such file.
    """
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != 2:
                raise VoiceError(f"{path} is not 16-bit PCM")
            rate_hz, channels = file.getframerate(), file.getnchannels()
            data = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise VoiceError(f"{path} cannot be read as WAV: {error}") from error
    samples = np.frombuffer(data, "<i2")[::channels]
    count = len(samples) * SAMPLE_RATE_HZ // rate_hz
    at = np.arange(count) * (rate_hz / SAMPLE_RATE_HZ)
    return np.asarray(np.interp(at, np.arange(len(samples)), samples), np.int16)


@dataclass(frozen=True, slots=True)
class Turns:
    """When a caller speaks: all the time, or every other turn.

    Attributes:
        frames: Length of a turn in frames; 0: the caller never stops.
        start: Where in the two turns the call begins, so that calls are not in step.
    """

    frames: int
    start: int = 0

    def speaks(self, number: int) -> bool:
        """Tell whether the caller speaks in a frame of the call."""
        if not self.frames:
            return True
        return (number + self.start) // self.frames % 2 == 0
