"""Messages that cannot be obeyed: answered with an error, and the session goes on."""

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from relay.engine.client_events import MAX_EVENT_BYTES
from tests.engine.talk import Talk, error_of, kinds


@pytest.mark.parametrize("message", ["", "{", "hello", b"\xff\xfe"])
def test_what_is_not_json_is_an_error(message: str | bytes) -> None:
    assert error_of(Talk().send_raw(message))["code"] == "invalid_json"


@pytest.mark.parametrize("message", ["[]", "1", '"a"', "null"])
def test_what_is_not_an_object_is_an_error(message: str) -> None:
    assert error_of(Talk().send_raw(message))["code"] == "invalid_type"


def test_an_event_without_a_type_is_an_error() -> None:
    error = error_of(Talk().send_raw('{"event_id": "mine"}'))
    assert (error["code"], error["param"]) == ("missing_required_parameter", "type")
    assert error["event_id"] == "mine"


@pytest.mark.parametrize("kind", ["no.such.event", 5])
def test_an_unknown_type_is_an_error_that_lists_the_known_ones(kind: Any) -> None:
    error = error_of(Talk().send_raw(orjson.dumps({"type": kind})))
    assert (error["code"], error["param"]) == ("invalid_value", "type")
    assert "'response.create'" in error["message"]


def test_an_oversized_event_is_an_error() -> None:
    message = b'{"type": "' + b"x" * MAX_EVENT_BYTES + b'"}'
    assert error_of(Talk().send_raw(message))["code"] == "event_too_large"


@pytest.mark.parametrize(
    ("kind", "param"),
    [
        ("session.update", "session"),
        ("input_audio_buffer.append", "audio"),
        ("conversation.item.create", "item"),
        ("conversation.item.delete", "item_id"),
        ("conversation.item.retrieve", "item_id"),
        ("conversation.item.truncate", "item_id"),
    ],
)
def test_a_missing_field_is_named(kind: str, param: str) -> None:
    error = error_of(Talk().send(kind, event_id="mine"))
    assert (error["code"], error["param"]) == ("missing_required_parameter", param)
    assert error["event_id"] == "mine"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"type": "conversation.item.create", "item": {"type": "song"}}, "item.type"),
        (
            {"type": "conversation.item.create", "item": {"type": "message"}},
            "item.role",
        ),
        (
            {
                "type": "conversation.item.create",
                "item": {"type": "message", "role": "user", "content": [{"type": "x"}]},
            },
            "item.content[0].type",
        ),
        (
            {
                "type": "conversation.item.create",
                "item": {"type": "function_call_output", "call_id": "c"},
            },
            "item.output",
        ),
        (
            {
                "type": "conversation.item.truncate",
                "item_id": "a",
                "content_index": -1,
                "audio_end_ms": 0,
            },
            "content_index",
        ),
        ({"type": "input_audio_buffer.append", "audio": 5}, "audio"),
        ({"type": "input_audio_buffer.append", "audio": "no base64!"}, "audio"),
        ({"type": "input_audio_buffer.append", "audio": "AAAA"}, "audio"),
        (
            {"type": "response.create", "response": {"conversation": "mine"}},
            "response.conversation",
        ),
        ({"type": "response.create", "response": {"colour": 1}}, "response.colour"),
        (
            {"type": "response.create", "response": {"metadata": {"a": 1}}},
            "response.metadata.a",
        ),
        (
            {
                "type": "response.create",
                "response": {"audio": {"output": {"format": {"type": "mp3"}}}},
            },
            "response.audio.output.format.type",
        ),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, Any], param: str) -> None:
    talk = Talk()
    error = error_of(talk.send_raw(orjson.dumps(fields)))
    assert error["param"] == param
    assert kinds(talk.send("input_audio_buffer.clear")) == [
        "input_audio_buffer.cleared"
    ]


def test_a_field_that_a_newer_client_sends_is_ignored() -> None:
    talk = Talk()
    events = talk.send("input_audio_buffer.clear", invented="field")
    assert kinds(events) == ["input_audio_buffer.cleared"]


def test_a_playing_buffer_that_is_not_ours_is_cleared_without_a_word() -> None:
    assert Talk().send("output_audio_buffer.clear") == []


# Any client at all

_IDS = st.sampled_from(["a", "b", "root", "item_none"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
_AUDIO = st.binary(max_size=9600).map(lambda data: base64.b64encode(data).decode())
_ITEM = st.fixed_dictionaries(
    {
        "type": st.just("message"),
        "role": st.sampled_from(["user", "assistant", "system"]),
        "content": st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(["input_text", "output_text", "input_audio"])},
                optional={"text": st.text(max_size=5), "audio": _AUDIO},
            ),
            max_size=2,
        ),
    },
    optional={"id": _IDS},
)
_EVENTS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            [
                "session.update",
                "input_audio_buffer.append",
                "input_audio_buffer.commit",
                "input_audio_buffer.clear",
                "conversation.item.create",
                "conversation.item.delete",
                "conversation.item.retrieve",
                "conversation.item.truncate",
                "response.create",
                "response.cancel",
            ]
        )
    },
    optional={
        "event_id": _JSON,
        "session": _JSON,
        "audio": _AUDIO | _JSON,
        "item": _ITEM | _JSON,
        "item_id": _IDS | _JSON,
        "previous_item_id": _IDS,
        "content_index": st.integers(-1, 2),
        "audio_end_ms": st.integers(-1, 2000),
        "response": st.sampled_from([{}, {"conversation": "none"}]) | _JSON,
    },
)
_STEPS = st.lists(
    st.tuples(st.just("client"), _EVENTS)
    | st.tuples(st.just("voice"), st.floats(0, 1))
    | st.tuples(st.just("reply"), st.sampled_from(["say", "call", "complete"])),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(_STEPS)
def test_whatever_a_client_does_the_log_stays_true(
    steps: list[tuple[str, Any]],
) -> None:
    talk = Talk()
    for kind, step in steps:
        if kind == "client":
            talk.send(**{"kind": step["type"], **_without_type(step)})
        elif kind == "voice":
            talk.voice(*[step] * 6)
        elif any(type(command).__name__ == "Respond" for command in talk.commands):
            _reply(talk, step)


def _without_type(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != "type"}


def _reply(talk: Talk, step: str) -> None:
    if step == "say":
        talk.say("Hello. ")
    elif step == "complete":
        talk.complete()
    else:
        talk.core.replies.call(talk.respond_command().response_id, "f", "{}")
        talk.drain()
