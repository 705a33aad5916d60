"""What goes to and comes from a Realtime API, without a socket (GA event shapes).

Timeline of the foreign API, as the relay meets it on one WebSocket:

    relay                                     Realtime API
      ── GET /v1/realtime?model=… ───────────►
      ◄──────────────────────── 101, session.created
      ── session.update (formats, VAD) ──────►
      ◄──────────────────────── session.updated   the client sees one session.created
      ── input_audio_buffer.append, … ─────►
      ◄─────── input_audio_buffer.speech_started   the caller speaks
      ◄─────── input_audio_buffer.speech_stopped, .committed
      ◄─────── conversation.item.added / .done     the caller's item
      ◄─────── response.created
      ◄─────── response.output_item.added, response.content_part.added
      ◄─────── response.output_audio.delta, …      faster than real time
      ◄─────── response.output_audio.done, …, response.done
    barge-in, while the above is generated or its audio is unplayed:
      ◄─────── input_audio_buffer.speech_started
      ◄─────── response.done, status "cancelled"   if interrupt_response
      ── conversation.item.truncate ─────────►     at what was heard; a WebSocket
      ◄─────── conversation.item.truncated         server cannot know that itself

Each upstream event is parsed once; what travels on is the text it came in. The
beta names of the two audio events are read too; beta session shapes are not.
"""

import binascii
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from relay.upstream import events

PCM_24K = {"type": "audio/pcm", "rate": 24_000}
"""The one audio format between relay and upstream, both ways."""

DEFAULT_TURN_DETECTION = {"type": "server_vad"}
"""Asked for when the client says nothing of turns; its `null` is left alone."""

TRANSCRIPTION = "transcription"
"""Type of a session that only listens."""

_WRONG_KEY = "invalid_api_key"
"""Code of an error about the relay's key: it quotes the key's end, and a client would
take it for one about its own."""

_APPEND_HEAD = (
    b'{"type":"input_audio_buffer.append","event_id":"'
    + events.OWN_PREFIX.encode()
    + b'append","audio":"'
)
_APPEND_TAIL = b'"}'


class Forward(NamedTuple):
    """A client event for the upstream, as it came or with its formats forced."""

    payload: bytes


class ClearPlayback(NamedTuple):
    """`output_audio_buffer.clear`: the relay silences the model."""


class Refused(NamedTuple):
    """A client event that goes nowhere; `error` is the event that says why."""

    code: str
    message: str
    event_id: str | None


ClientEvent = Forward | ClearPlayback | Refused


def append(pcm: bytes) -> bytes:
    """Make an `input_audio_buffer.append` (by concatenation: cheaper than JSON)."""
    return _APPEND_HEAD + binascii.b2a_base64(pcm, newline=False) + _APPEND_TAIL


def query(session: Mapping[str, Any] | None, model: str) -> Mapping[str, str]:
    """Return what the URL says of a session; a transcription names no model there."""
    if _mapping(session).get("type") == TRANSCRIPTION:
        return {"intent": TRANSCRIPTION}
    return {"model": model} if model else {}


def opening_update(session: Mapping[str, Any] | None) -> bytes:
    """Make the first `session.update`: the client's wishes, the relay's formats.

    It carries no own `event_id`: if the upstream refuses what the client asked for, the
    client must see the error.
    """
    wished = {"type": "realtime", **(session or {})}
    directions = ["input"] if wished["type"] == TRANSCRIPTION else ["input", "output"]
    audio = dict(_mapping(wished.get("audio")))
    for direction in directions:
        audio[direction] = {**_mapping(audio.get(direction)), "format": PCM_24K}
    audio["input"].setdefault("turn_detection", DEFAULT_TURN_DETECTION)
    return orjson.dumps(
        {"type": "session.update", "session": {**wished, "audio": audio}}
    )


def read_client(payload: bytes) -> ClientEvent:
    """Decide what becomes of a client's event.

    The relay owns three things: playback is cleared here; the audio formats of a
    session or of one response are forced to those of the relay; appended audio is
    refused, because a WebRTC client's audio comes by media, and two sources in one
    buffer would garble both. All else travels as it is, unknown events too.
    """
    try:
        event = orjson.loads(payload)
    except orjson.JSONDecodeError:
        event = None
    if not isinstance(event, dict):
        return Refused("invalid_json", "The event is not a JSON object.", None)
    match event.get("type"):
        case "output_audio_buffer.clear":
            return ClearPlayback()
        case "input_audio_buffer.append":
            return Refused(
                "unsupported_event",
                "input_audio_buffer.append is not taken here: "
                "a WebRTC call's audio comes by its media track.",
                _text_or_none(event.get("event_id")),
            )
        case "session.update" if _force_formats(event.get("session")):
            return _forward(event)
        case "response.create" if _force_formats(event.get("response")):
            return _forward(event)
        case _:
            return Forward(payload)


def read_upstream(message: bytes) -> events.UpstreamEvent:
    """Parse one upstream message, once.

    What is not JSON, or lacks the fields that the relay needs of it, is `Malformed`.
    """
    try:
        event = orjson.loads(message)
        read = _READERS.get(event["type"])
        return read(event) if read else _PASSING
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return events.Malformed(str(error))


def _audio_delta(event: Mapping[str, Any]) -> events.AudioDelta:
    return events.AudioDelta(
        response_id=_text(event.get("response_id", "")),
        item_id=_text(event.get("item_id", "")),
        content_index=operator.index(event.get("content_index", 0)),
        pcm=binascii.a2b_base64(event["delta"]),
    )


def _audio_done(event: Mapping[str, Any]) -> events.AudioDone:
    return events.AudioDone(_text(event.get("response_id", "")))


def _response_created(event: Mapping[str, Any]) -> events.ResponseCreated:
    response = event["response"]
    # Null, not merely absent: an upstream that never names conversations has but one.
    out_of_band = response.get("conversation_id", "") is None
    return events.ResponseCreated(_text(response["id"]), out_of_band)


def _response_done(event: Mapping[str, Any]) -> events.ResponseDone:
    return events.ResponseDone(_text(event["response"]["id"]))


def _speech_started(_: Mapping[str, Any]) -> events.SpeechStarted:
    return events.SpeechStarted()


def _session_configured(event: Mapping[str, Any]) -> events.SessionConfigured:
    listening = _mapping(_mapping(event["session"].get("audio")).get("input"))
    detection = _mapping(listening.get("turn_detection"))
    return events.SessionConfigured(detection.get("interrupt_response") is not False)


def _error(event: Mapping[str, Any]) -> events.OwnError | events.Passing:
    error = _mapping(event.get("error"))
    is_own = str(error.get("event_id") or "").startswith(events.OWN_PREFIX)
    if is_own or error.get("code") == _WRONG_KEY:
        return events.OwnError(str(error.get("code")))
    return _PASSING


_PASSING = events.Passing()

_READERS: Mapping[str, Callable[[Mapping[str, Any]], events.UpstreamEvent]] = {
    "response.output_audio.delta": _audio_delta,
    "response.audio.delta": _audio_delta,
    "response.output_audio.done": _audio_done,
    "response.audio.done": _audio_done,
    "response.created": _response_created,
    "response.done": _response_done,
    "input_audio_buffer.speech_started": _speech_started,
    "session.created": _session_configured,
    "session.updated": _session_configured,
    "error": _error,
}


def _forward(event: Mapping[str, Any]) -> Forward | Refused:
    try:
        return Forward(orjson.dumps(event))
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        event_id = _text_or_none(event.get("event_id"))
        return Refused("invalid_json", "The event is nested too deeply.", event_id)


def _force_formats(config: Any) -> bool:
    """Set the formats a session or response names to the relay's; True if it had to."""
    changed = False
    audio = _mapping(_mapping(config).get("audio"))
    for direction in ("input", "output"):
        part = audio.get(direction)
        if isinstance(part, dict) and part.get("format", PCM_24K) != PCM_24K:
            part["format"] = PCM_24K
            changed = True
    return changed


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None
