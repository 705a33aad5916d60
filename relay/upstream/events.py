"""The Realtime events that the relay acts on or sends itself.

Everything else passes through the relay as the bytes it came in. The relay's own
events carry an `event_id` that begins with `OWN_PREFIX`, so that an error caused by one
of them is known and kept from a client that never sent it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

OWN_PREFIX = "tandem_relay_"
"""Begins the `event_id` of each event that the relay makes."""


class AudioDelta(NamedTuple):
    """`response.output_audio.delta`: s16le mono 24 kHz, any length.

    A tuple, because there are 50 a second of each session's.
    """

    response_id: str
    item_id: str
    content_index: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class AudioBegan:
    """`response.content_part.added` of audio: a part of an item that will be spoken."""

    response_id: str
    item_id: str
    content_index: int


@dataclass(frozen=True, slots=True)
class AudioDone:
    """`response.output_audio.done`: this part of the item has no more audio."""

    response_id: str


@dataclass(frozen=True, slots=True)
class ResponseCreated:
    """`response.created`; out of band: it does not belong to the conversation."""

    response_id: str
    out_of_band: bool


@dataclass(frozen=True, slots=True)
class ResponseDone:
    """`response.done`, whatever its status."""

    response_id: str


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """`input_audio_buffer.speech_started`."""


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """`input_audio_buffer.speech_stopped`."""


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """A function or an MCP tool is called, all its arguments known."""


@dataclass(frozen=True, slots=True)
class SessionConfigured:
    """`session.created` or `session.updated`: what holds from now on.

    Attributes:
        interrupts: The caller's speech interrupts the model.
        session: All of it.
        is_answer: It was asked for, by an update.
    """

    interrupts: bool
    session: Mapping[str, Any] = field(default_factory=dict)
    is_answer: bool = False


@dataclass(frozen=True, slots=True)
class OwnError:
    """`error` caused by one of the relay's own events, or by its key.

    Attributes:
        code: The error's.
        caused_by: The event's id, if that is known.
    """

    code: str
    caused_by: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """`error` for a client; `caused_by` is its event's id, where it gave one."""

    caused_by: str | None


@dataclass(frozen=True, slots=True)
class Passing:
    """Any other event: the client's business."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that is no event, or audio that cannot be played; it goes nowhere."""

    reason: str


UpstreamEvent = (
    AudioDelta
    | AudioBegan
    | AudioDone
    | ResponseCreated
    | ResponseDone
    | SpeechStarted
    | SpeechStopped
    | ToolCalled
    | SessionConfigured
    | OwnError
    | Failure
    | Passing
    | Malformed
)


class EventIds:
    """Numbers the events that one session of the relay makes."""

    def __init__(self) -> None:
        self._count = 0

    def next(self) -> str:
        """Return an id never given before in this session."""
        self._count += 1
        return f"{OWN_PREFIX}{self._count}"


def response_cancel(event_id: str, response_id: str) -> bytes:
    """Stop a response that is being generated."""
    return _event("response.cancel", event_id, response_id=response_id)


def item_truncate(
    event_id: str, item_id: str, content_index: int, audio_end_ms: int
) -> bytes:
    """Forget what of an item's audio was not heard."""
    return _event(
        "conversation.item.truncate",
        event_id,
        item_id=item_id,
        content_index=content_index,
        audio_end_ms=audio_end_ms,
    )


def item_delete(event_id: str, item_id: str) -> bytes:
    """Forget an item of which nothing was heard."""
    return _event("conversation.item.delete", event_id, item_id=item_id)


def playback_started(event_id: str, response_id: str) -> bytes:
    """Tell a WebRTC client that a response's first audio is on its way."""
    return _event("output_audio_buffer.started", event_id, response_id=response_id)


def playback_stopped(event_id: str, response_id: str) -> bytes:
    """Tell a WebRTC client that a response was played to its end."""
    return _event("output_audio_buffer.stopped", event_id, response_id=response_id)


def playback_cleared(event_id: str, response_id: str) -> bytes:
    """Tell a WebRTC client that the rest of a response will not be played."""
    return _event("output_audio_buffer.cleared", event_id, response_id=response_id)


def _event(type_: str, event_id: str, **fields: Any) -> bytes:
    return orjson.dumps({"type": type_, "event_id": event_id, **fields})
