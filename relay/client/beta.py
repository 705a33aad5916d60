"""The beta Realtime API, `OpenAI-Beta: realtime=v1`, for clients that still speak it.

Towards the upstream everything is GA; what a beta client sends gets its GA shape, what
it gets has beta's names. Both sides, and the session objects:

    beta                                      GA
    transcription_session.update              session.update, of type transcription
    transcription_session.created, .updated   session.created, .updated
    session: flat, no `type`                  session: `type`, `audio.input`, `.output`
      modalities ["text", "audio"]              output_modalities ["audio"]
      input_audio_format "pcm16"                audio.input.format {"type": …}
      max_response_output_tokens                max_output_tokens
      temperature                               (gone: dropped)
    parts of an assistant's item: text, audio output_text, output_audio
    response.text.*, response.audio.*,        response.output_text.*, .output_audio.*,
      response.audio_transcript.*               .output_audio_transcript.*
    conversation.item.created                 conversation.item.added
                                              conversation.item.done (dropped)

Fields and events that are in neither column pass: beta clients switch on the type and
leave the rest. Nothing here alters what it was given, and nothing raises, whatever the
JSON; an event that has to change in nothing is returned itself.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from relay.client.within import Json, Shape, within, within_each

_PATHS: Mapping[str, tuple[str, ...]] = {
    "modalities": ("output_modalities",),
    "max_response_output_tokens": ("max_output_tokens",),
    "input_audio_format": ("audio", "input", "format"),
    "input_audio_noise_reduction": ("audio", "input", "noise_reduction"),
    "input_audio_transcription": ("audio", "input", "transcription"),
    "turn_detection": ("audio", "input", "turn_detection"),
    "output_audio_format": ("audio", "output", "format"),
    "voice": ("audio", "output", "voice"),
    "speed": ("audio", "output", "speed"),
}
"""Where GA keeps what beta keeps flat, in sessions and in responses."""

ONLY_BETA = frozenset({"transcription_session.update"})
"""Client events that GA has no name for."""

_GONE = frozenset({"temperature", "client_secret"})
"""Fields of beta sessions and responses that GA refuses."""

_FORMATS: Mapping[str, Json] = {
    "pcm16": {"type": "audio/pcm", "rate": 24_000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
_FORMAT_NAMES = {format_["type"]: name for name, format_ in _FORMATS.items()}

_GA_PARTS = {"text": "output_text", "audio": "output_audio"}
_BETA_PARTS = {ga: beta for beta, ga in _GA_PARTS.items()}

_BETA_EVENTS = {
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "conversation.item.added": "conversation.item.created",
}
_TRANSCRIPTION_EVENTS = {
    f"session.{what}": f"transcription_session.{what}"
    for what in ("created", "updated")
}
_DROPPED = "conversation.item.done"
"""Says again what `conversation.item.created` and `response.output_item.done` say."""


# From the client -----------------------------------------------------------------


def client_event_to_ga(event: Json) -> Json:
    """Return a beta client's event as GA has it; what is GA already stays."""
    match event.get("type"):
        case "session.update":
            return within(event, "session", session_to_ga)
        case "transcription_session.update":
            update = {**event, "type": "session.update"}
            return within(update, "session", _transcription_to_ga)
        case "response.create":
            return within(event, "response", _response_to_ga)
        case "conversation.item.create":
            return within(event, "item", _item_to_ga)
        case _:
            return event


def session_to_ga(session: Mapping[str, Any]) -> Json:
    """Return a beta session object, or a partial update of one, as GA has it.

    A GA session comes out as it went in, so this may be applied twice.
    """
    flat = config_to_ga(session)
    return flat if "type" in flat else {"type": "realtime", **flat}


def _transcription_to_ga(session: Json) -> Json:
    """Name the type; what is heard has no modalities."""
    heard = {key: value for key, value in session.items() if key != "modalities"}
    return session_to_ga({**heard, "type": "transcription"})


def _response_to_ga(response: Json) -> Json:
    response = config_to_ga(response)
    return within_each(response, "input", _item_to_ga)


def config_to_ga(config: Mapping[str, Any]) -> Json:
    """Return the fields that sessions and responses share as GA has them."""
    kept = {
        key: value
        for key, value in config.items()
        if key not in _PATHS and key not in _GONE
    }
    for key, path in _PATHS.items():
        if key in config:
            convert = _VALUES_TO_GA.get(key, _same)
            kept = _placed(kept, path, convert(config[key]))
    if "tool_choice" in kept:
        kept["tool_choice"] = _tool_choice_to_ga(kept["tool_choice"])
    return within_each(kept, "tools", _tool_to_ga)


def _placed(config: Json, path: tuple[str, ...], value: Any) -> Json:
    """Put a value where it belongs, beside what is there."""
    first, *rest = path
    if not rest:
        return {**config, first: value}
    inner = config.get(first)
    inner = inner if isinstance(inner, dict) else {}
    return {**config, first: _placed(inner, tuple(rest), value)}


def _same(value: Any) -> Any:
    return value


def _modalities_to_ga(value: Any) -> Any:
    is_spoken = isinstance(value, list) and "audio" in value
    return ["audio"] if is_spoken else value


def _format_to_ga(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _FORMATS.get(value, {"type": value})


def _turn_detection_to_ga(value: Any) -> Any:
    """Name the type: GA has no default for it."""
    if not isinstance(value, dict) or "type" in value:
        return value
    return {"type": "semantic_vad" if "eagerness" in value else "server_vad", **value}


_VALUES_TO_GA: Mapping[str, Callable[[Any], Any]] = {
    "modalities": _modalities_to_ga,
    "input_audio_format": _format_to_ga,
    "output_audio_format": _format_to_ga,
    "turn_detection": _turn_detection_to_ga,
}


def _tool_choice_to_ga(value: Any) -> Any:
    """Read a function's name: beta has it as text."""
    if not isinstance(value, str) or value in {"auto", "none", "required"}:
        return value
    return {"type": "function", "name": value}


def _tool_to_ga(tool: Json) -> Json:
    return tool if "type" in tool else {"type": "function", **tool}


def _item_to_ga(item: Json) -> Json:
    if item.get("role") != "assistant":
        return item
    return within_each(item, "content", lambda part: _renamed(part, _GA_PARTS))


# To the client -------------------------------------------------------------------


def server_event_to_beta(event: Json) -> Json | None:
    """Return a GA event as a beta client knows it, or None: beta has no such event."""
    kind = event.get("type")
    if kind == _DROPPED:
        return None
    names = _TRANSCRIPTION_EVENTS if _is_transcription(event) else _BETA_EVENTS
    event = _renamed(event, names)
    for key, shape in _SHAPES_TO_BETA.items():
        event = within(event, key, shape)
    return event


def _is_transcription(event: Json) -> bool:
    session = event.get("session")
    return isinstance(session, dict) and session.get("type") == "transcription"


def session_to_beta(session: Json) -> Json:
    """Return a session object as beta has it."""
    flat = {key: value for key, value in session.items() if key != "type"}
    return _config_to_beta(flat, _PATHS)


def _response_to_beta(response: Json) -> Json:
    """Flatten a response; beta calls the limit of its tokens as GA does."""
    paths = {
        key: path for key, path in _PATHS.items() if path != ("max_output_tokens",)
    }
    return within_each(_config_to_beta(response, paths), "output", _item_to_beta)


def _config_to_beta(config: Json, paths: Mapping[str, tuple[str, ...]]) -> Json:
    moved = {path[0] for path in paths.values()}
    flat = {key: value for key, value in config.items() if key not in moved}
    for key, path in paths.items():
        for value in _found(config, path):
            flat[key] = _VALUES_TO_BETA.get(key, _same)(value)
    if "tool_choice" in flat:
        flat["tool_choice"] = _tool_choice_to_beta(flat["tool_choice"])
    return flat


def _found(config: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """Yield the value at a path, if there is one; null is one."""
    for key in path:
        if not isinstance(config, dict) or key not in config:
            return
        config = config[key]
    yield config


def _modalities_to_beta(value: Any) -> Any:
    return ["text", "audio"] if value == ["audio"] else value


def _format_to_beta(value: Any) -> Any:
    type_ = value.get("type") if isinstance(value, dict) else None
    return _FORMAT_NAMES.get(type_, type_) if isinstance(type_, str) else None


def _voice_to_beta(value: Any) -> Any:
    """Name a custom voice by its id: to beta a voice is text."""
    return value.get("id") if isinstance(value, dict) else value


_VALUES_TO_BETA: Mapping[str, Callable[[Any], Any]] = {
    "modalities": _modalities_to_beta,
    "input_audio_format": _format_to_beta,
    "output_audio_format": _format_to_beta,
    "voice": _voice_to_beta,
}


def _tool_choice_to_beta(value: Any) -> Any:
    return value.get("name") if isinstance(value, dict) else value


def _item_to_beta(item: Json) -> Json:
    return within_each(item, "content", _part_to_beta)


def _part_to_beta(part: Json) -> Json:
    return _renamed(part, _BETA_PARTS)


_SHAPES_TO_BETA: Mapping[str, Shape] = {
    "session": session_to_beta,
    "response": _response_to_beta,
    "item": _item_to_beta,
    "part": _part_to_beta,
}
"""The objects that server events carry, by the field they are in."""


# Both ways -----------------------------------------------------------------------


def _renamed(holder: Json, names: Mapping[str, str]) -> Json:
    type_ = holder.get("type")
    name = names.get(type_) if isinstance(type_, str) else None
    return {**holder, "type": name} if name else holder
