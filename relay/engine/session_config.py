"""The session object: what it may hold, its defaults, and how updates merge into it.

A session is plain JSON, as it is echoed in `session.created` and `session.updated`.
Updates are partial. Null clears what may be null and returns the rest to its default;
`turn_detection` starts from the defaults of its type when the type changes.

Accepted and echoed but without effect here: model, voice, noise_reduction, the
transcription model, prompt, reasoning, tracing, truncation, include, MCP tools.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from relay.engine.audio import samples_of
from relay.engine.schema import (
    Json,
    anything,
    array,
    either,
    flag,
    integer,
    name,
    nullable,
    number,
    one_of,
    record,
    text,
    variant,
)  # fmt: skip

MAX_TOOLS = 128
"""Functions in one session, as in OpenAI's API."""

FORMAT = variant(
    "type",
    {
        "audio/pcm": record({"type": name, "rate": integer(24_000, 24_000)}),
        "audio/pcmu": record({"type": name}),
        "audio/pcma": record({"type": name}),
    },
)
_TURN_SWITCHES = {"type": name, "create_response": flag, "interrupt_response": flag}
_TURN_DETECTION = variant(
    "type",
    {
        "server_vad": record(
            {
                **_TURN_SWITCHES,
                "threshold": number(0.0, 1.0),
                "prefix_padding_ms": integer(0, 5_000),
                "silence_duration_ms": integer(0, 10_000),
                "idle_timeout_ms": nullable(integer(5_000, 30_000)),
            }
        ),
        "semantic_vad": record(
            {**_TURN_SWITCHES, "eagerness": one_of("low", "medium", "high", "auto")}
        ),
    },
)
_TRANSCRIPTION = record(
    {
        "model": nullable(name),
        "language": nullable(text),
        "languages": nullable(array(name, 64)),
        "prompt": nullable(text),
        "keywords": nullable(array(text, 1_000)),
        "delay": nullable(name),
    }
)


def _custom_voice(value: Any, path: str) -> Any:
    """Accept a voice object; return its id, the one form that every event may hold."""
    return record({"id": name}, "id")(value, path)["id"]


VOICE = either(str, name, _custom_voice)
_FUNCTION = record(
    {
        "type": name,
        "name": name,
        "description": nullable(text),
        "parameters": nullable(record({}, is_open=True)),
        "strict": nullable(flag),
    },
    "name",
)


def _whole_object(value: Any, path: str) -> Any:
    """Accept any object, keeping all of it."""
    record({}, is_open=True)(value, path)
    return value


def _tool(value: Any, path: str) -> Any:
    checked = variant("type", {"function": _FUNCTION, "mcp": _whole_object})(
        value, path
    )
    return {
        **checked,
        **({"parameters": value["parameters"]} if "parameters" in value else {}),
    }


TOOLS = array(_tool, MAX_TOOLS)
TOOL_CHOICE = either(
    str,
    one_of("auto", "none", "required"),
    variant(
        "type",
        {
            "function": record({"type": name, "name": name}, "name"),
            "mcp": _whole_object,
        },
    ),
)
MODALITIES = array(one_of("audio", "text"), 1)
MAX_OUTPUT_TOKENS = either(str, one_of("inf"), integer(1, 1_000_000))

_SESSION = record(
    {
        "type": one_of("realtime"),
        "object": anything,
        "id": anything,
        "expires_at": anything,
        "model": name,
        "output_modalities": nullable(MODALITIES),
        "instructions": nullable(text),
        "audio": nullable(
            record(
                {
                    "input": nullable(
                        record(
                            {
                                "format": nullable(FORMAT),
                                "noise_reduction": nullable(_whole_object),
                                "transcription": nullable(_TRANSCRIPTION),
                                "turn_detection": nullable(_TURN_DETECTION),
                            }
                        )
                    ),
                    "output": nullable(
                        record(
                            {
                                "format": nullable(FORMAT),
                                "voice": nullable(VOICE),
                                "speed": nullable(number(0.25, 1.5)),
                            }
                        )
                    ),
                }
            )
        ),
        "tools": nullable(TOOLS),
        "tool_choice": nullable(TOOL_CHOICE),
        "max_output_tokens": nullable(MAX_OUTPUT_TOKENS),
        "parallel_tool_calls": nullable(flag),
        "reasoning": nullable(_whole_object),
        "prompt": nullable(_whole_object),
        "tracing": nullable(either(str, one_of("auto"), _whole_object)),
        "truncation": nullable(either(str, one_of("auto", "disabled"), _whole_object)),
        "include": nullable(array(name, 16)),
    },
    "type",
)

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
    """Return a new session as the API describes its defaults."""
    return {
        "type": "realtime",
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


def merged(session: Json, update: Any) -> Json:
    """Return the session after a `session.update`.

    Raises:
        ClientError: The update holds something unusable; `session` is as before.
    """
    changes = _SESSION(update, "session")
    for read_only in ("id", "object", "expires_at"):
        changes.pop(read_only, None)
    defaults = default(session["id"], session["model"])
    return _merge(session, changes, defaults)


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
    idle_ms = base["idle_timeout_ms"]
    return TurnRules(
        threshold=base["threshold"],
        prefix_padding_samples=samples_of(base["prefix_padding_ms"]),
        silence_samples=samples_of(silence_ms),
        idle_timeout_s=None if idle_ms is None else idle_ms / 1000,
        creates_response=wire["create_response"],
        interrupts_response=wire["interrupt_response"],
    )
