"""What a client sends, and what becomes of it.

Checked in this order, each failure answered by an `error` event that echoes the
`event_id` where it could be read, the session unchanged: size, JSON, an object, depth,
`type`, rate, and that the event has a meaning for this kind of client. Then a beta
client's event gets its GA shape, bound fields are held, and a media call keeps the
formats of the relay. What needs no change travels as the bytes it came in, unknown
events and fields too; where anything is bound it is written again, so that the upstream
cannot read it otherwise than it was read here.

An append is the hot path of a WebSocket client, 50 to 100 a second: one scan for its
JSON, two for brackets, no base64. That costs about a tenth of what it costs to take it
from one WebSocket and write it to another.
"""

import functools
from typing import NamedTuple

import orjson

from proto.messages import MAX_MESSAGE_BYTES
from relay import beta
from relay.bound import Bound
from relay.limits import MAX_DEPTH, Limits, is_too_deep
from relay.upstream.protocol import PCM_24K
from relay.within import Json, within

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""Largest event of a WebSocket client: the API takes 15 MiB of audio in one append."""

MAX_MEDIA_EVENT_BYTES = MAX_MESSAGE_BYTES
"""Largest event of a client that came by WebRTC: what the link takes in one message."""


class Forward(NamedTuple):
    """A client event for the upstream."""

    payload: bytes
    event_id: str | None = None


class ClearPlayback(NamedTuple):
    """`output_audio_buffer.clear`: the relay silences the model."""


class Refused(NamedTuple):
    """A client event that goes nowhere: the fields of the `error` event that says so.

    All are of the kind `invalid_request_error`.
    """

    code: str
    message: str
    event_id: str | None = None
    param: str | None = None


ClientEvent = Forward | ClearPlayback | Refused


class Intake:
    """Decides what becomes of one client's events."""

    def __init__(
        self,
        *,
        limits: Limits,
        bound: Bound,
        speaks_beta: bool,
        has_media: bool,
        binds: bool = False,
    ) -> None:
        """Make the intake of one client.

        Args:
            limits: Of this client alone.
            bound: Of the session; shared by the client and its sidebands.
            speaks_beta: The client writes beta events.
            has_media: The session's audio comes by media, not by events.
            binds: The client is the server at a sideband: nothing binds it, and what it
                sets is bound.
        """
        self._limits = limits
        self._bound = bound
        self._speaks_beta = speaks_beta
        self._has_media = has_media
        self._binds = binds
        self._max_bytes = MAX_MEDIA_EVENT_BYTES if has_media else MAX_EVENT_BYTES

    def read(self, payload: bytes, now: float) -> ClientEvent:
        """Decide what becomes of an event."""
        if len(payload) > self._max_bytes:
            return Refused(
                "event_too_large",
                f"An event may have {self._max_bytes} bytes; this one has "
                f"{len(payload)}.",
            )
        try:
            event = orjson.loads(payload)
        except orjson.JSONDecodeError:
            event = None
        if not isinstance(event, dict):
            return Refused("invalid_json", "The event is not a JSON object.")
        if refused := self._refusal(payload, event, now):
            return refused
        if event["type"] == "output_audio_buffer.clear":
            return ClearPlayback()
        shaped = self._shaped(event)
        # A name that stands twice in an object may mean something else to the upstream.
        is_safe = self._binds or not self._bound.is_locked
        if shaped is not event or not is_safe:
            payload = orjson.dumps(shaped)
        return Forward(payload, _event_id(event))

    def _refusal(self, payload: bytes, event: Json, now: float) -> Refused | None:
        wrong = (
            self._wrong_shape(payload, event)
            or self._too_fast(len(payload), event["type"], now)
            or self._wrong_kind(event["type"])
        )
        return wrong._replace(event_id=_event_id(event)) if wrong else None

    def _wrong_shape(self, payload: bytes, event: Json) -> Refused | None:
        if is_too_deep(payload, event):
            return Refused(
                "invalid_json",
                f"The event is nested too deeply: at most {MAX_DEPTH} levels.",
            )
        if "type" not in event:
            return Refused(
                "missing_required_parameter",
                "Missing required parameter: 'type'.",
                param="type",
            )
        if not isinstance(event["type"], str):
            return Refused(
                "invalid_type",
                "Invalid type for 'type': expected a string.",
                param="type",
            )
        return None

    def _wrong_kind(self, kind: str) -> Refused | None:
        if kind == "input_audio_buffer.append" and self._has_media:
            return Refused(
                "unsupported_event",
                "input_audio_buffer.append is not taken here: "
                "a WebRTC call's audio comes by its media track.",
                param="type",
            )
        if kind == "output_audio_buffer.clear" and not self._has_media:
            return Refused(
                "unsupported_event",
                "output_audio_buffer.clear is for WebRTC calls: a WebSocket client "
                "plays the audio itself, and stops it itself.",
                param="type",
            )
        return None

    def _too_fast(self, event_bytes: int, kind: str, now: float) -> Refused | None:
        if kind == "input_audio_buffer.append":
            taken = self._limits.take_append(event_bytes, now)
        else:
            taken = self._limits.take_event(now)
        if taken:
            return None
        return Refused("rate_limit_exceeded", "Events come too fast; slow down.")

    def _shaped(self, event: Json) -> Json:
        """Return the event as the upstream gets it; itself if nothing has to change."""
        if self._speaks_beta:
            event = beta.client_event_to_ga(event)
        match event["type"]:
            case "session.update":
                # Anything but an object there is for the upstream to judge.
                shape = functools.partial(self._shaped_session, _event_id(event))
                return within(event, "session", shape)
            case "response.create":
                return within(event, "response", self._shaped_response)
            case _:
                return event

    def _shaped_session(self, event_id: str | None, session: Json) -> Json:
        if self._binds:
            self._bound.learn(session, event_id)
        else:
            session = self._bound.applied_to_session(session)
        return _in_relays_formats(session) if self._has_media else session

    def _shaped_response(self, response: Json) -> Json:
        if not self._binds:
            response = self._bound.applied_to_response(response)
        return _in_relays_formats(response) if self._has_media else response


def _event_id(event: Json) -> str | None:
    event_id = event.get("event_id")
    return event_id if isinstance(event_id, str) else None


def _in_relays_formats(config: Json) -> Json:
    """Set the formats that a session or response names to the relay's."""
    return within(config, "audio", _audio_in_relays_formats)


def _audio_in_relays_formats(audio: Json) -> Json:
    for direction in ("input", "output"):
        audio = within(audio, direction, _in_format)
    return audio


def _in_format(part: Json) -> Json:
    if part.get("format", PCM_24K) == PCM_24K:
        return part
    return {**part, "format": PCM_24K}
