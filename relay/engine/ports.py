"""The four stages of the engine as ports, and what passes through them.

Voice activity, speech to text and text to speech block: they run on the threads of
`stages.py`, each call short (one clause, a few hundred milliseconds of audio), so that
callers take turns. A reply is asynchronous: it may wait for a network.

Audio is int16, (samples,), mono 24 kHz throughout.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]
"""int16, (samples,), mono."""

SAMPLE_RATE_HZ = 24_000
"""Rate of audio/pcm in the Realtime API."""

SAMPLE_BYTES = 2
"""Bytes of one sample (int16)."""

HOP_SAMPLES = 768
"""Samples per voice activity value: 32 ms, the one window that Silero VAD 5 takes."""


class VoiceActivity(Protocol):
    """Is somebody speaking? One per session; remembers what it heard."""

    def feed(self, pcm: Samples) -> list[float]:
        """Take audio; return the probability of speech of each hop now complete."""


class Utterance(Protocol):
    """One turn of a caller on its way to text."""

    def add(self, pcm: Samples) -> str:
        """Take more audio; return the text of all of it so far.

        Raises:
            StageError: The model failed.
        """

    def close(self) -> None:
        """Release what the model holds."""


class SpeechToText(Protocol):
    """Turns speech into text; shared by all sessions."""

    def open(self) -> Utterance:
        """Begin an utterance."""


class TextToSpeech(Protocol):
    """Turns a clause or a sentence into speech; shared by all sessions."""

    def speak(self, text: str, speed: float) -> Samples:
        """Return the spoken text; `speed` 1.0 is the voice's own pace.

        Raises:
            StageError: The model failed.
        """


class Image(NamedTuple):
    """A picture that the user shows; `url` is a data: URI of a PNG or JPEG, mostly."""

    url: str
    detail: str = "auto"


class Said(NamedTuple):
    """Something said or written; `role` is user, assistant or system."""

    role: Literal["user", "assistant", "system"]
    text: str
    images: tuple[Image, ...] = ()


class Called(NamedTuple):
    """A function the assistant called; `arguments` is JSON."""

    call_id: str
    name: str
    arguments: str


class Returned(NamedTuple):
    """What the client's function gave back."""

    call_id: str
    output: str


Turn = Said | Called | Returned


@dataclass(frozen=True, slots=True)
class Request:
    """What a reply is asked: the conversation so far and the rules of the session."""

    turns: tuple[Turn, ...]
    instructions: str = ""
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str | Mapping[str, Any] = "auto"
    max_output_tokens: int | None = None
    is_directed: bool = False
    """The instructions are for this response alone (`response.create`)."""
    is_idle: bool = False
    """Nobody spoke for the session's idle timeout."""


class Say(NamedTuple):
    """Text to say, in pieces of any size."""

    text: str


class Pause(NamedTuple):
    """Silence between sentences."""

    duration_ms: int


class Call(NamedTuple):
    """Call a function of the client's; `arguments` is JSON."""

    name: str
    arguments: str


class Reply(Protocol):
    """Decides what to answer."""

    def respond(self, request: Request) -> AsyncGenerator[Say | Pause | Call, None]:
        """Yield the answer piece by piece.

        Raises:
            StageError: There will be no more of this answer.
        """
