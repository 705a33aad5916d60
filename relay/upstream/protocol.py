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
from typing import Any

import orjson
import pybase64

from proto.frames import SAMPLE_BYTES
from relay.upstream import events

PCM_24K = {"type": "audio/pcm", "rate": 24_000}
"""The one audio format between relay and upstream, both ways."""

DEFAULT_TURN_DETECTION = {"type": "server_vad"}
"""Asked for when the client says nothing of turns; its `null` is left alone."""

TRANSCRIPTION = "transcription"
"""Type of a session that only listens."""

LOCK_ID = f"{events.OWN_PREFIX}lock"
"""`event_id` of the update that says what a client secret locks."""

_WRONG_KEY = "invalid_api_key"
"""Code of an error about the relay's key: it quotes the key's end, and a client would
take it for one about its own."""

_APPEND_HEAD = (
    b'{"type":"input_audio_buffer.append","event_id":"'
    + events.OWN_PREFIX.encode()
    + b'append","audio":"'
)
_APPEND_TAIL = b'"}'
_SPOKEN = ("audio", "output_audio")
"""Types of a content part that has audio: as the part's event, as the item names it."""

_ZEROS = (b"", b"AA==", b"AAA=")
"""The last 0 to 2 bytes of silence in base64."""


def append(pcm: bytes) -> bytes:
    """Make an `input_audio_buffer.append` (by concatenation: cheaper than JSON)."""
    return _APPEND_HEAD + pybase64.b64encode(pcm) + _APPEND_TAIL


def append_silence(samples: int) -> bytes:
    """Make the same of silence (a tenth of the time: zeros are "A" in base64)."""
    threes, rest = divmod(samples * SAMPLE_BYTES, 3)
    return _APPEND_HEAD + b"AAAA" * threes + _ZEROS[rest] + _APPEND_TAIL


def query(session: Mapping[str, Any] | None, model: str) -> Mapping[str, str]:
    """Return what the URL says of a session; a transcription names no model there."""
    if _mapping(session).get("type") == TRANSCRIPTION:
        return {"intent": TRANSCRIPTION}
    return {"model": model} if model else {}


def media_update(session: Mapping[str, Any] | None, **fields: str) -> bytes:
    """Make a call's first `session.update`: what is wished, in the relay's formats.

    Args:
        session: What is wished.
        fields: Of the event. Without an `event_id` of the relay's the client sees the
            error, if the upstream refuses what it asked for.
    """
    wished = {"type": "realtime", **(session or {})}
    directions = ["input"] if wished["type"] == TRANSCRIPTION else ["input", "output"]
    audio = dict(_mapping(wished.get("audio")))
    for direction in directions:
        audio[direction] = {**_mapping(audio.get(direction)), "format": PCM_24K}
    audio["input"].setdefault("turn_detection", DEFAULT_TURN_DETECTION)
    session = {**wished, "audio": audio}
    return orjson.dumps({"type": "session.update", **fields, "session": session})


def direct_update(session: Mapping[str, Any] | None, **fields: str) -> bytes | None:
    """Make the same of a client that has its own formats and turns.

    None where nothing is wished that the connection's URL does not say already, unless
    the answer is wanted: it has fields.
    """
    if not fields and (session or {}).keys() <= {"type", "model"}:
        return None
    session = {"type": "realtime", **(session or {})}
    return orjson.dumps({"type": "session.update", **fields, "session": session})


def read_upstream(message: bytes, *, has_media: bool = True) -> events.UpstreamEvent:
    """Parse one upstream message, once.

    What is no JSON object with a type is `Malformed`. An event that lacks what the
    relay needs of it is merely passed on, but for audio that cannot be played.

    Args:
        message: The text.
        has_media: The relay plays the session's audio; False: that passes like the
            rest, undecoded, and so do the turns.
    """
    try:
        event = orjson.loads(message)
        read = (_READERS if has_media else _CONFIG_READERS).get(event["type"])
    except (ValueError, KeyError, TypeError) as error:
        return events.Malformed(str(error))
    if read is None:
        return _PASSING
    try:
        return read(event)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return events.Malformed(str(error)) if read is _audio_delta else _PASSING


def _audio_delta(event: Mapping[str, Any]) -> events.AudioDelta:
    return events.AudioDelta(
        response_id=_text(event.get("response_id", "")),
        item_id=_text(event.get("item_id", "")),
        content_index=operator.index(event.get("content_index", 0)),
        pcm=binascii.a2b_base64(event["delta"]),
    )


def _part_added(event: Mapping[str, Any]) -> events.AudioBegan | events.Passing:
    if event["part"]["type"] not in _SPOKEN:
        return _PASSING
    return events.AudioBegan(
        response_id=_text(event["response_id"]),
        item_id=_text(event["item_id"]),
        content_index=operator.index(event.get("content_index", 0)),
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


def _speech_stopped(_: Mapping[str, Any]) -> events.SpeechStopped:
    return events.SpeechStopped()


def _tool_called(_: Mapping[str, Any]) -> events.ToolCalled:
    return events.ToolCalled()


def _session_configured(event: Mapping[str, Any]) -> events.SessionConfigured:
    session = event["session"]
    listening = _mapping(_mapping(session.get("audio")).get("input"))
    detection = _mapping(listening.get("turn_detection"))
    interrupts = detection.get("interrupt_response") is not False
    is_answer = event["type"] == "session.updated"
    return events.SessionConfigured(interrupts, session, is_answer)


def _error(event: Mapping[str, Any]) -> events.OwnError | events.Failure:
    error = _mapping(event.get("error"))
    caused_by, code = _text_or_none(error, "event_id"), _text_or_none(error, "code")
    if (caused_by or "").startswith(events.OWN_PREFIX) or code == _WRONG_KEY:
        return events.OwnError(code or "none", caused_by)
    return events.Failure(caused_by or None)


_PASSING = events.Passing()

_Readers = Mapping[str, Callable[[Mapping[str, Any]], events.UpstreamEvent]]

_CONFIG_READERS: _Readers = {
    "session.created": _session_configured,
    "session.updated": _session_configured,
    "error": _error,
}
"""What concerns the relay in any session."""

_READERS: _Readers = {
    **_CONFIG_READERS,
    "response.content_part.added": _part_added,
    "response.output_audio.delta": _audio_delta,
    "response.audio.delta": _audio_delta,
    "response.output_audio.done": _audio_done,
    "response.audio.done": _audio_done,
    "response.created": _response_created,
    "response.done": _response_done,
    "input_audio_buffer.speech_started": _speech_started,
    "input_audio_buffer.speech_stopped": _speech_stopped,
    "response.function_call_arguments.done": _tool_called,
    "response.mcp_call_arguments.done": _tool_called,
}
"""And what does where it plays the audio."""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text_or_none(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value
