"""The beta API's shapes and names, both ways, against its official types."""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given, strategies as st
from openai.types.beta.realtime.realtime_client_event import RealtimeClientEvent
from openai.types.beta.realtime.realtime_server_event import RealtimeServerEvent
from pydantic import BaseModel

from relay.client import beta
from tests.engine.talk import Talk, kinds, only
from tests.support.event_rules import strict_parse_client

Json = dict[str, Any]


def _by_type(union: Any) -> dict[str, type[BaseModel]]:
    models = get_args(get_args(union)[0])
    return {get_args(m.model_fields["type"].annotation)[0]: m for m in models}


SERVER_EVENTS = _by_type(RealtimeServerEvent)
CLIENT_EVENTS = _by_type(RealtimeClientEvent)

BETA_SESSION: Json = {
    "modalities": ["text", "audio"],
    "instructions": "Sell tea.",
    "voice": "ash",
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "g711_alaw",
    "input_audio_transcription": {"model": "whisper-1", "language": "en"},
    "input_audio_noise_reduction": {"type": "near_field"},
    "turn_detection": {"type": "server_vad", "threshold": 0.6},
    "tools": [{"type": "function", "name": "order", "parameters": {}}],
    "tool_choice": "order",
    "temperature": 0.8,
    "speed": 1.1,
    "max_response_output_tokens": 100,
    "tracing": "auto",
}
GA_SESSION: Json = {
    "type": "realtime",
    "output_modalities": ["audio"],
    "instructions": "Sell tea.",
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "transcription": {"model": "whisper-1", "language": "en"},
            "noise_reduction": {"type": "near_field"},
            "turn_detection": {"type": "server_vad", "threshold": 0.6},
        },
        "output": {"format": {"type": "audio/pcma"}, "voice": "ash", "speed": 1.1},
    },
    "tools": [{"type": "function", "name": "order", "parameters": {}}],
    "tool_choice": {"type": "function", "name": "order"},
    "max_output_tokens": 100,
    "tracing": "auto",
}


def conversed() -> Talk:
    """Return a talk in which nearly all happens that the engine can do."""
    talk = Talk(
        audio={
            "input": {
                "transcription": {"model": "whisper-1"},
                "noise_reduction": {"type": "far_field"},
            },
            "output": {"voice": {"id": "voice_1"}},
        },
        tools=[{"type": "function", "name": "order", "parameters": {}}],
        tool_choice={"type": "function", "name": "order"},
    )
    talk.turn("Hello.")
    spoken = only(talk.answer("Hi."), "response.output_item.done")["item"]["id"]
    part = {"type": "input_text", "text": "Tea."}
    item = {"type": "message", "role": "user", "content": [part]}
    talk.send("conversation.item.create", item=item)
    talk.send("response.create", response={"output_modalities": ["text"]})
    talk.say("Which?")
    talk.core.replies.call(talk.respond_command().response_id, "order", "{}")
    talk.complete()
    talk.send("response.create")
    talk.say("Well,")
    talk.send("response.cancel")
    place = {"item_id": spoken, "content_index": 0, "audio_end_ms": 10}
    talk.send("conversation.item.truncate", **place)
    talk.send("conversation.item.retrieve", item_id=spoken)
    talk.send("conversation.item.delete", item_id=spoken)
    talk.send("input_audio_buffer.clear")
    talk.send("response.cancel")
    for event in talk.log:
        if "session" in event:  # beta's types know its models by name
            event["session"]["model"] = "gpt-realtime"
    return talk


def translated(log: Iterable[Json]) -> list[Json]:
    found = [beta.server_event_to_beta(event) for event in log]
    return [event for event in found if event is not None]


def client_event(kind: str, **fields: Any) -> Json:
    """Return a beta client's event as GA has it, both held against their types."""
    event = {"type": kind, **fields}
    CLIENT_EVENTS[kind].model_validate(event, strict=True)
    ga = beta.client_event_to_ga(event)
    strict_parse_client(ga)
    return ga


# From the client -----------------------------------------------------------------


def test_a_session_gets_its_ga_shape() -> None:
    event = client_event("session.update", event_id="e", session=BETA_SESSION)
    assert event == {"type": "session.update", "event_id": "e", "session": GA_SESSION}


@pytest.mark.parametrize("session", [BETA_SESSION, {}, {"voice": None}])
def test_a_ga_session_comes_out_as_it_went_in(session: Json) -> None:
    once = beta.session_to_ga(session)
    assert beta.session_to_ga(once) == once


def test_what_a_session_already_has_in_ga_shape_stays_beside() -> None:
    session = {"audio": {"output": {"speed": 1.2}}, "voice": "ash", "of_tomorrow": 1}
    assert beta.session_to_ga(session) == {
        "type": "realtime",
        "audio": {"output": {"speed": 1.2, "voice": "ash"}},
        "of_tomorrow": 1,
    }


@pytest.mark.parametrize(
    ("field", "value", "ga"),
    [
        ("turn_detection", None, {"audio": {"input": {"turn_detection": None}}}),
        (
            "turn_detection",
            {"threshold": 0.6},
            {
                "audio": {
                    "input": {
                        "turn_detection": {"type": "server_vad", "threshold": 0.6}
                    }
                }
            },
        ),
        (
            "turn_detection",
            {"eagerness": "low"},
            {
                "audio": {
                    "input": {
                        "turn_detection": {"type": "semantic_vad", "eagerness": "low"}
                    }
                }
            },
        ),
        (
            "output_audio_format",
            "mp3",
            {"audio": {"output": {"format": {"type": "mp3"}}}},
        ),
        ("modalities", ["text"], {"output_modalities": ["text"]}),
        ("modalities", ["smell"], {"output_modalities": ["smell"]}),
        ("tool_choice", "required", {"tool_choice": "required"}),
        ("tools", [{"name": "f"}], {"tools": [{"type": "function", "name": "f"}]}),
    ],
)
def test_each_field_has_its_place(field: str, value: Any, ga: Json) -> None:
    assert beta.session_to_ga({field: value}) == {"type": "realtime", **ga}


def test_a_response_gets_its_ga_shape() -> None:
    event = client_event(
        "response.create",
        response={
            "modalities": ["audio", "text"],
            "voice": "ash",
            "output_audio_format": "pcm16",
            "temperature": 0.7,
            "max_response_output_tokens": "inf",
            "conversation": "none",
            "metadata": {"a": "b"},
            "input": [
                {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "text", "text": "Hi."}],
                }
            ],
        },
    )
    pcm = {"type": "audio/pcm", "rate": 24_000}
    assert event["response"] == {
        "output_modalities": ["audio"],
        "audio": {"output": {"voice": "ash", "format": pcm}},
        "max_output_tokens": "inf",
        "conversation": "none",
        "metadata": {"a": "b"},
        "input": [
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Hi."}],
            }
        ],
    }


def test_only_an_assistants_parts_have_other_names() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "audio", "transcript": "b"}]
    item = {"type": "message", "role": "assistant", "content": content}
    event = client_event("conversation.item.create", item=item)
    parts = [part["type"] for part in event["item"]["content"]]
    assert parts == ["output_text", "output_audio"]
    item = {**item, "role": "user"}
    event = {"type": "conversation.item.create", "item": item}
    assert beta.client_event_to_ga(event) is event


@pytest.mark.parametrize(
    "kind",
    [
        "input_audio_buffer.append",
        "response.cancel",
        "response.create",
        "conversation.item.truncate",
        "of.tomorrow",
    ],
)
def test_events_that_are_the_same_in_both_pass_untouched(kind: str) -> None:
    event = {"type": kind, "audio": "AAAA", "x": {"voice": 1}}
    assert beta.client_event_to_ga(event) is event


def test_the_engine_obeys_a_beta_client() -> None:
    talk = Talk()

    def send(kind: str, **fields: Any) -> list[Json]:
        return talk.send_raw(orjson.dumps(client_event(kind, **fields)))

    updated = only(send("session.update", session=BETA_SESSION), "session.updated")
    assert updated["session"]["audio"]["output"]["voice"] == "ash"
    assert updated["session"]["max_output_tokens"] == 100
    for role, kind in (("user", "input_text"), ("assistant", "text")):
        part = {"type": kind, "text": "Tea."}
        item = {"type": "message", "role": role, "content": [part]}
        new = send("conversation.item.create", item=item)
        assert kinds(new) == ["conversation.item.added", "conversation.item.done"]
    new = send("response.create", response={"modalities": ["text"], "temperature": 0.6})
    assert only(new, "response.created")["response"]["output_modalities"] == ["text"]
    assert kinds(send("response.cancel")) == ["response.done", "rate_limits.updated"]


# To the client -------------------------------------------------------------------


def test_a_whole_conversation_is_strictly_beta() -> None:
    log = translated(conversed().log)
    seen = set()
    for event in log:
        SERVER_EVENTS[event["type"]].model_validate(event, strict=True)
        seen.add(event["type"])
    assert {
        "conversation.item.created",
        "response.text.delta",
        "response.text.done",
        "response.audio.delta",
        "response.audio.done",
        "response.audio_transcript.delta",
        "response.audio_transcript.done",
    } <= seen
    assert not any("output_text" in kind or "output_audio" in kind for kind in seen)


def test_nothing_of_ga_is_left_in_what_a_beta_client_gets() -> None:
    text = orjson.dumps(translated(conversed().log)).decode()
    for name in ("output_text", 'output_audio"', "output_modalities", "audio/pcm"):
        assert name not in text


def test_each_item_is_created_once() -> None:
    talk = conversed()
    added = [e for e in talk.log if e["type"] == "conversation.item.added"]
    created = [
        event["item"]["id"]
        for event in translated(talk.log)
        if event["type"] == "conversation.item.created"
    ]
    assert created == [event["item"]["id"] for event in added]
    assert len(set(created)) == len(created)


def test_deltas_and_ids_survive() -> None:
    talk = conversed()
    for ga in talk.log:
        event = beta.server_event_to_beta(ga)
        if event is not None:
            for key in ("event_id", "response_id", "item_id", "delta", "transcript"):
                assert event.get(key) == ga.get(key)


def test_a_session_of_the_engine_is_flat() -> None:
    talk = Talk(model="gpt-realtime")
    talk.send_raw(orjson.dumps(client_event("session.update", session=BETA_SESSION)))
    session = translated(talk.log)[-1]["session"]
    echoed = {k: v for k, v in BETA_SESSION.items() if k != "temperature"}
    detection = session["turn_detection"]
    assert detection.items() >= echoed.pop("turn_detection").items()
    assert session.items() >= echoed.items()
    assert not {"type", "audio", "output_modalities"} & session.keys()


def test_a_session_survives_the_way_there_and_back() -> None:
    flat = beta.session_to_beta(GA_SESSION)
    assert flat == {k: v for k, v in BETA_SESSION.items() if k != "temperature"}
    assert beta.session_to_ga(flat) == GA_SESSION


def test_a_response_calls_the_limit_of_its_tokens_as_ga_does() -> None:
    event = {"type": "response.done", "response": {"max_output_tokens": 7}}
    assert beta.server_event_to_beta(event) == event


@pytest.mark.parametrize(
    "event",
    [
        {"type": "of.tomorrow", "x": [{"type": "output_text"}]},
        {"type": "input_audio_buffer.timeout_triggered", "item_id": "i"},
        {"type": "response.mcp_call.completed", "item_id": "i"},
        {"type": "error", "error": {"type": "output_text"}},
    ],
)
def test_events_that_beta_does_not_know_pass_untouched(event: Json) -> None:
    assert beta.server_event_to_beta(event) is event


# Both ways -----------------------------------------------------------------------

names = st.sampled_from([
    "type", "session", "response", "item", "part", "audio", "input", "output",
    "content", "role", "tools", "tool_choice", "modalities", "voice",
    "output_modalities", "turn_detection", "format", "input_audio_format",
])  # fmt: skip
words = st.sampled_from([
    "session.update", "session.updated", "response.create", "response.done",
    "conversation.item.create", "conversation.item.added", "assistant", "text",
    "output_text", "audio/pcm", "pcm16", "none", "",
])  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5)
    ),
    max_leaves=20,
)
objects = st.dictionaries(names, values, max_size=6)


@given(objects)
def test_nothing_raises_and_nothing_is_altered(event: Json) -> None:
    before = deepcopy(event)
    for translate in (
        beta.client_event_to_ga,
        beta.server_event_to_beta,
        beta.session_to_ga,
        beta.session_to_beta,
    ):
        translate(event)
        assert event == before


@given(objects)
def test_translating_twice_changes_nothing_more(event: Json) -> None:
    session = beta.session_to_ga(event)
    assert beta.session_to_ga(session) == session
    ga = beta.client_event_to_ga(event)
    assert beta.client_event_to_ga(ga) == ga


def test_a_transcription_session_is_updated_under_betas_name_for_it() -> None:
    event = {
        "type": "transcription_session.update",
        "event_id": "e",
        "session": {
            "input_audio_format": "g711_ulaw",
            "input_audio_transcription": {"model": "whisper-1"},
            "turn_detection": None,
            "modalities": ["text"],
        },
    }
    ga = beta.client_event_to_ga(event)
    assert ga == {
        "type": "session.update",
        "event_id": "e",
        "session": {
            "type": "transcription",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcmu"},
                    "transcription": {"model": "whisper-1"},
                    "turn_detection": None,
                }
            },
        },
    }
    told = beta.server_event_to_beta({**ga, "type": "session.updated"})
    assert told is not None
    assert told["type"] == "transcription_session.updated"
    assert told["session"]["input_audio_format"] == "g711_ulaw"
