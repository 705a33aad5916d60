"""What a client sends, and what becomes of it.

Checked in this order, each failure answered by an `error` event that echoes the
`event_id` where it could be read, the session unchanged: size, number of values, JSON,
an object, depth, `type`, rate, and that the event has a meaning for this kind of
client. Who sends nothing but what is refused is let go.

Then a beta client's event gets its GA shape, bound fields are held, and a media call
keeps the formats of the relay. What needs no change travels as the bytes it came in,
unknown events and fields too; where anything is bound it is written again, in GA shape
and no other, so that the upstream cannot read it otherwise than it was read here. Items
are conversation, not configuration: the client may add what it likes, but no list of
tools where those are bound.

An append is the hot path of a WebSocket client, 50 to 100 a second: one scan for its
JSON, two for brackets, no base64. That costs about a tenth of what it costs to take it
from one WebSocket and write it to another.
"""

import functools
from collections.abc import Iterable
from typing import NamedTuple

import orjson

from proto.messages import MAX_MESSAGE_BYTES
from proto.nesting import MAX_DEPTH
from relay.client import beta
from relay.client.bound import Bound
from relay.client.limits import (
    MAX_MARKS,
    Limits,
    has_too_many_values,
    is_too_deep,
)
from relay.client.within import Json, within
from relay.upstream.protocol import PCM_24K

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""Largest event of a WebSocket client: the API takes 15 MiB of audio in one append."""

MAX_MEDIA_EVENT_BYTES = MAX_MESSAGE_BYTES
"""Largest event of a client that came by WebRTC: what the link takes in one message."""

_TOOLS_ITEM = "mcp_list_tools"
"""What an MCP server offers, as an item of the conversation; the API adds it."""


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


class Flood(NamedTuple):
    """One refused event too many: its client is to be let go."""


ClientEvent = Forward | ClearPlayback | Refused

FLOOD_REASON = "too many of its events were refused"
"""Why a client was let go, for people."""


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
        self._holds = bound.is_locked and not binds
        self._max_bytes = MAX_MEDIA_EVENT_BYTES if has_media else MAX_EVENT_BYTES

    def read(self, payload: bytes, now: float) -> ClientEvent | Flood:
        """Decide what becomes of an event."""
        read = self._read(payload, now)
        if isinstance(read, Refused):
            is_patient = self._limits.take_refused(len(payload), now)
            return read if is_patient else Flood()
        return read

    def _read(self, payload: bytes, now: float) -> ClientEvent:
        if refused := self._wrong_size(payload):
            return refused
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
        if shaped is not event or self._holds:
            payload = orjson.dumps(shaped)
        return Forward(payload, _event_id(event))

    def _wrong_size(self, payload: bytes) -> Refused | None:
        if len(payload) > self._max_bytes:
            return Refused(
                "event_too_large",
                f"An event may have {self._max_bytes} bytes; this one has "
                f"{len(payload)}.",
            )
        if has_too_many_values(payload):
            return Refused(
                "event_too_large",
                f"An event may have {MAX_MARKS} brackets and commas; "
                "this one has more.",
            )
        return None

    def _refusal(self, payload: bytes, event: Json, now: float) -> Refused | None:
        wrong = (
            self._wrong_shape(payload, event)
            or self._too_fast(len(payload), event["type"], now)
            or self._wrong_kind(event["type"])
            or self._wrong_item(event)
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

    def _wrong_item(self, event: Json) -> Refused | None:
        if not (self._holds and self._bound.binds("tools")):
            return None
        if not any(item.get("type") == _TOOLS_ITEM for item in _items_of(event)):
            return None
        return Refused(
            "invalid_value",
            f"An item of type {_TOOLS_ITEM} is not taken here: "
            "the tools of this session are set by its server.",
            param="item.type",
        )

    def _too_fast(self, event_bytes: int, kind: str, now: float) -> Refused | None:
        if kind == "input_audio_buffer.append":
            taken = self._limits.take_append(event_bytes, now)
        else:
            taken = self._limits.take_event(event_bytes, now)
        if taken:
            return None
        return Refused("rate_limit_exceeded", "Events come too fast; slow down.")

    def _shaped(self, event: Json) -> Json:
        """Return the event as the upstream gets it; itself if nothing has to change."""
        if self._speaks_beta or (self._holds and event["type"] in beta.ONLY_BETA):
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
        elif self._holds:
            session = self._bound.applied_to_session(beta.config_to_ga(session))
        return _in_relays_formats(session) if self._has_media else session

    def _shaped_response(self, response: Json) -> Json:
        if self._holds:
            response = self._bound.applied_to_response(beta.config_to_ga(response))
        return _in_relays_formats(response) if self._has_media else response


def _items_of(event: Json) -> Iterable[Json]:
    """Return the items of the conversation that a client's event brings."""
    response = event.get("response")
    given = response.get("input") if isinstance(response, dict) else None
    items = [event.get("item"), *(given if isinstance(given, list) else ())]
    return [item for item in items if isinstance(item, dict)]


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
