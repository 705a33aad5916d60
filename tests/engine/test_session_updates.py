"""`session.update`: partial merges, nulls that clear, and what is refused."""

from typing import Any

import pytest

from tests.engine.talk import Talk, error_of, only


def updated(talk: Talk, **session: Any) -> dict[str, Any]:
    """Update a session; return it."""
    event = only(talk.update(**session), "session.updated")
    found: dict[str, Any] = event["session"]
    return found


def test_an_update_changes_what_it_names_and_nothing_else() -> None:
    talk = Talk()
    before = talk.log[0]["session"]
    after = updated(talk, instructions="Be brief.")
    assert after == {**before, "instructions": "Be brief."}


def test_nested_objects_merge() -> None:
    talk = Talk()
    updated(talk, audio={"output": {"voice": "marin"}})
    after = updated(talk, audio={"output": {"speed": 1.25}})
    assert after["audio"]["output"]["voice"] == "marin"
    assert after["audio"]["output"]["speed"] == 1.25
    assert after["audio"]["input"] == talk.log[0]["session"]["audio"]["input"]


def test_turn_detection_of_the_same_type_merges() -> None:
    talk = Talk()
    detection = {"type": "server_vad", "threshold": 0.7}
    updated(talk, audio={"input": {"turn_detection": detection}})
    detection = {"type": "server_vad", "silence_duration_ms": 300}
    after = updated(talk, audio={"input": {"turn_detection": detection}})
    rules = after["audio"]["input"]["turn_detection"]
    assert (rules["threshold"], rules["silence_duration_ms"]) == (0.7, 300)


def test_turn_detection_of_another_type_starts_from_its_defaults() -> None:
    detection = {"type": "semantic_vad", "create_response": False}
    after = updated(Talk(), audio={"input": {"turn_detection": detection}})
    assert after["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": False,
        "interrupt_response": True,
    }


@pytest.mark.parametrize("name", ["turn_detection", "noise_reduction", "transcription"])
def test_null_clears(name: str) -> None:
    talk = Talk()
    updated(
        talk,
        audio={
            "input": {
                "noise_reduction": {"type": "near_field"},
                "transcription": {"model": "whisper-1"},
            }
        },
    )
    after = updated(talk, audio={"input": {name: None}})
    assert after["audio"]["input"][name] is None


def test_empty_values_clear_instructions_and_tools() -> None:
    talk = Talk()
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    assert updated(talk, instructions="a", tools=[tool])["tools"] == [tool]
    after = updated(talk, instructions="", tools=[])
    assert (after["instructions"], after["tools"]) == ("", [])


def test_null_returns_what_cannot_be_null_to_its_default() -> None:
    talk = Talk()
    updated(talk, max_output_tokens=5, tool_choice="none")
    after = updated(talk, max_output_tokens=None, tool_choice=None)
    assert (after["max_output_tokens"], after["tool_choice"]) == ("inf", "auto")


@pytest.mark.parametrize(
    "session",
    [
        {"tracing": "auto"},
        {"tracing": {"workflow_name": "a"}},
        {"tracing": None},
        {"truncation": {"type": "retention_ratio", "retention_ratio": 0.5}},
        {"prompt": {"id": "p"}},
        {"reasoning": {"effort": "low"}},
        {"include": ["item.input_audio_transcription.logprobs"]},
        {"model": "gpt-realtime", "parallel_tool_calls": True},
        {"tool_choice": {"type": "function", "name": "f"}},
        {"tools": [{"type": "mcp", "server_label": "s", "server_url": "https://s"}]},
        {"audio": {"output": {"voice": {"id": "voice_1"}}}},
        {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}}}},
    ],
)
def test_every_field_of_the_api_is_accepted_and_told_again(
    session: dict[str, Any],
) -> None:
    after = updated(Talk(), **session)
    for key, value in session.items():
        if key != "audio":
            assert after[key] == value


def test_the_model_and_id_of_the_session_are_kept() -> None:
    talk = Talk()
    session_id = talk.log[0]["session"]["id"]
    assert updated(talk, id="other")["id"] == session_id


INVALID: list[tuple[dict[str, Any], str, str]] = [
    ({"colour": 1}, "unknown_parameter", "session.colour"),
    (
        {"audio": {"input": {"gain": 1}}},
        "unknown_parameter",
        "session.audio.input.gain",
    ),
    ({"type": "translation"}, "invalid_value", "session.type"),
    ({"include": ["logprobs"]}, "invalid_value", "session.include[0]"),
    ({"instructions": 5}, "invalid_type", "session.instructions"),
    ({"audio": []}, "invalid_type", "session.audio"),
    ({"output_modalities": ["video"]}, "invalid_value", "session.output_modalities[0]"),
    (
        {"output_modalities": ["audio", "text"]},
        "array_above_max_length",
        "session.output_modalities",
    ),
    ({"max_output_tokens": 0}, "integer_below_min_value", "session.max_output_tokens"),
    ({"max_output_tokens": "many"}, "invalid_value", "session.max_output_tokens"),
    ({"tool_choice": "maybe"}, "invalid_value", "session.tool_choice"),
    (
        {"tools": [{"type": "function"}]},
        "missing_required_parameter",
        "session.tools[0].name",
    ),
    ({"tools": [{"name": "f"}]}, "missing_required_parameter", "session.tools[0].type"),
    (
        {"audio": {"output": {"speed": 3}}},
        "decimal_above_max_value",
        "session.audio.output.speed",
    ),
    (
        {"audio": {"input": {"format": {"type": "audio/mp3"}}}},
        "invalid_value",
        "session.audio.input.format.type",
    ),
    (
        {
            "audio": {
                "input": {"turn_detection": {"type": "server_vad", "threshold": 2}}
            }
        },
        "decimal_above_max_value",
        "session.audio.input.turn_detection.threshold",
    ),
    (
        {"audio": {"input": {"turn_detection": {"threshold": 0.5}}}},
        "missing_required_parameter",
        "session.audio.input.turn_detection.type",
    ),
]


@pytest.mark.parametrize(("session", "code", "param"), INVALID)
def test_what_cannot_be_used_is_refused_and_changes_nothing(
    session: dict[str, Any], code: str, param: str
) -> None:
    talk = Talk(instructions="before")
    before = talk.log[-1]["session"]
    event = {"type": "realtime", "max_output_tokens": 7, **session}
    error = error_of(talk.send("session.update", session=event, event_id="mine"))
    assert error["type"] == "invalid_request_error"
    assert (error["code"], error["param"]) == (code, param)
    assert error["event_id"] == "mine"
    assert updated(talk) == before


def test_the_type_of_the_session_must_be_given() -> None:
    error = error_of(Talk().send("session.update", session={"instructions": "a"}))
    assert error["code"] == "missing_required_parameter"
    assert error["param"] == "session.type"


def test_the_voice_is_fixed_once_the_assistant_has_spoken() -> None:
    talk = Talk()
    talk.send("response.create")
    talk.answer("Hello.")
    error = error_of(talk.update(audio={"output": {"voice": "cedar"}}))
    assert error["code"] == "cannot_update_voice"
    updated(talk, audio={"output": {"voice": "alloy"}})
