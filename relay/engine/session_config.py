"""The session object: what it may hold, its defaults, and how updates merge into it.

A session is plain JSON, as it is echoed in `session.created` and `session.updated`.
Updates are partial. Null clears what may be null and returns the rest to its default;
`turn_detection` starts from the defaults of its type when the type changes. A session
is of type realtime or transcription from its creation to its end.

Accepted and echoed but without effect here: model (every client library sends one),
voice, noise_reduction, the transcription model, prompt, reasoning, tracing, truncation,
include (the speech to text in the wheel knows no probabilities: `logprobs` stay null).
MCP servers are not asked for their tools: mcp.py says so to the client.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from relay.engine.audio import samples_of
from relay.engine.errors import ClientError
from relay.engine.schema import Json
from relay.engine.session_schema import READ_ONLY, REALTIME, SESSION, TRANSCRIPTION

_TURN_DEFAULTS: Mapping[str, Json] = {
    "server_vad": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    },
    "semantic_vad": {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    },
}
_EAGERNESS_SILENCE_MS = {"low": 1_200, "medium": 700, "auto": 700, "high": 400}
"""Silence that ends a turn under semantic_vad, which is server_vad here: the words are
not weighed. Ours; OpenAI gives only upper bounds (8, 4 and 2 s)."""

_PCM: Json = {"type": "audio/pcm", "rate": 24_000}
_NULLABLE = frozenset(
    {
        "noise_reduction",
        "transcription",
        "turn_detection",
        "tracing",
        "prompt",
        "include",
    }
)


def default(session_id: str, model: str) -> Json:
    """Return a new realtime session as the API describes its defaults."""
    return {
        "type": REALTIME,
        "object": "realtime.session",
        "id": session_id,
        "model": model,
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "include": None,
        "audio": {
            "input": {
                "format": dict(_PCM),
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": dict(_TURN_DEFAULTS["server_vad"]),
            },
            "output": {"format": dict(_PCM), "voice": "alloy", "speed": 1.0},
        },
    }


def transcription(session_id: str, model: str | None) -> Json:
    """Return a new transcription session: it only listens, and always tells the text.

    Its turns have no rules about responses, as there are none.
    """
    detection = _without_responses(_TURN_DEFAULTS["server_vad"])
    return {
        "type": TRANSCRIPTION,
        "object": "realtime.transcription_session",
        "id": session_id,
        "include": None,
        "audio": {
            "input": {
                "format": dict(_PCM),
                "transcription": {"model": model},
                "noise_reduction": None,
                "turn_detection": detection,
            }
        },
    }


def _without_responses(detection: Json) -> Json:
    rules = {"create_response", "interrupt_response", "idle_timeout_ms"}
    return {key: value for key, value in detection.items() if key not in rules}


def merged(session: Json, update: Any) -> Json:
    """Return the session after a `session.update`.

    Raises:
        ClientError: The update holds something unusable, or is for a session of the
            other type; `session` is as before.
    """
    changes = SESSION(update, "session")
    if changes["type"] != session["type"]:
        raise ClientError(
            "invalid_parameter",
            f"Passing a {changes['type']} session update event to a {session['type']} "
            "session is not allowed.",
            "session.type",
        )
    for read_only in READ_ONLY:
        changes.pop(read_only, None)
    if session["type"] == REALTIME:
        return _merge(session, changes, default(session["id"], session["model"]))
    model = session["audio"]["input"]["transcription"].get("model")
    defaults = transcription(session["id"], model)
    return _still_transcribing(_merge(session, changes, defaults), model)


def _still_transcribing(session: Json, model: str | None) -> Json:
    """Return a transcription session whose model stays until another is named."""
    heard = session["audio"]["input"]
    heard["transcription"] = {"model": model, **(heard["transcription"] or {})}
    if heard["turn_detection"] is not None:
        heard["turn_detection"] = _without_responses(heard["turn_detection"])
    return session


def _merge(current: Json, changes: Json, defaults: Json) -> Json:
    result = deepcopy(current)
    for key, value in changes.items():
        if value is None and key not in _NULLABLE:
            if key in defaults:
                result[key] = defaults[key]
            else:
                result.pop(key, None)
        elif key in {"audio", "input", "output"}:
            result[key] = _merge(current[key], value, defaults[key])
        elif key == "turn_detection" and value is not None:
            before = (
                current[key] if current[key] and _same_type(current[key], value) else {}
            )
            result[key] = {**_TURN_DEFAULTS[value["type"]], **before, **value}
        else:
            result[key] = value
    return result


def _same_type(one: Json, other: Json) -> bool:
    return bool(one["type"] == other["type"])


class TurnRules(NamedTuple):
    """How turns are found; the rules of `turn_detection` in samples."""

    threshold: float
    prefix_padding_samples: int
    silence_samples: int
    idle_timeout_s: float | None
    creates_response: bool
    interrupts_response: bool


def turn_rules(session: Json) -> TurnRules | None:
    """Return how turns are found, or None when the client commits them itself."""
    wire = session["audio"]["input"]["turn_detection"]
    if wire is None:
        return None
    semantic = wire["type"] == "semantic_vad"
    base = _TURN_DEFAULTS["server_vad"] if semantic else wire
    silence_ms = (
        _EAGERNESS_SILENCE_MS[wire["eagerness"]]
        if semantic
        else wire["silence_duration_ms"]
    )
    idle_ms = base.get("idle_timeout_ms")
    return TurnRules(
        threshold=base["threshold"],
        prefix_padding_samples=samples_of(base["prefix_padding_ms"]),
        silence_samples=samples_of(silence_ms),
        idle_timeout_s=None if idle_ms is None else idle_ms / 1000,
        creates_response=wire.get("create_response", False),
        interrupts_response=wire.get("interrupt_response", False),
    )
