"""What a session object may hold, as checks; which fields a client may send.

Objects are closed, as the API refuses unknown parameters.
"""

from typing import Any

from relay.engine.schema import (
    Check,
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

REALTIME, TRANSCRIPTION = "realtime", "transcription"
"""The types of a session."""

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


def _mcp(value: Any, path: str) -> Any:
    record({"server_label": name}, "server_label", is_open=True)(value, path)
    return value


def _tool(value: Any, path: str) -> Any:
    checked = variant("type", {"function": _FUNCTION, "mcp": _mcp})(value, path)
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
            "mcp": _mcp,
        },
    ),
)
MODALITIES = array(one_of("audio", "text"), 1)
MAX_OUTPUT_TOKENS = either(str, one_of("inf"), integer(1, 1_000_000))

READ_ONLY: dict[str, Check] = {
    "object": anything,
    "id": anything,
    "expires_at": anything,
}
_NOISE_REDUCTION = record(
    {"type": one_of("near_field", "far_field"), "strength": number(0.0, 1.0)}
)
_INPUT = record(
    {
        "format": nullable(FORMAT),
        "noise_reduction": nullable(_NOISE_REDUCTION),
        "transcription": nullable(_TRANSCRIPTION),
        "turn_detection": nullable(_TURN_DETECTION),
    }
)
_OUTPUT = record(
    {
        "format": nullable(FORMAT),
        "voice": nullable(VOICE),
        "speed": nullable(number(0.25, 1.5)),
    }
)
_INCLUDE = array(one_of("item.input_audio_transcription.logprobs"), 16)
_REALTIME = record(
    {
        **READ_ONLY,
        "type": name,
        "model": name,
        "output_modalities": nullable(MODALITIES),
        "instructions": nullable(text),
        "audio": nullable(
            record({"input": nullable(_INPUT), "output": nullable(_OUTPUT)})
        ),
        "tools": nullable(TOOLS),
        "tool_choice": nullable(TOOL_CHOICE),
        "max_output_tokens": nullable(MAX_OUTPUT_TOKENS),
        "parallel_tool_calls": nullable(flag),
        "reasoning": nullable(_whole_object),
        "prompt": nullable(_whole_object),
        "tracing": nullable(either(str, one_of("auto"), _whole_object)),
        "truncation": nullable(either(str, one_of("auto", "disabled"), _whole_object)),
        "include": nullable(_INCLUDE),
    }
)
_TRANSCRIBING = record(
    {
        **READ_ONLY,
        "type": name,
        "audio": nullable(record({"input": nullable(_INPUT)})),
        "include": nullable(_INCLUDE),
    }
)
SESSION = variant("type", {REALTIME: _REALTIME, TRANSCRIPTION: _TRANSCRIBING})
