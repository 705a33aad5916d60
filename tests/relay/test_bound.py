"""What a server fixed of a session, and what its client can still change."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, strategies as st

from relay.client.bound import MAX_UNANSWERED, Bound

Json = dict[str, Any]

LOCKED: Json = {
    "type": "realtime",
    "instructions": "Sell tea.",
    "tools": [{"type": "function", "name": "order"}],
    "tracing": None,
    "audio": {
        "input": {
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 400},
            "transcription": None,
        },
        "output": {"voice": "marin"},
    },
}

names = st.sampled_from([
    "type", "audio", "input", "output", "voice", "tools", "tracing",
    "turn_detection", "instructions", "x",
])  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4)
    ),
    max_leaves=12,
)
configs = st.dictionaries(st.sampled_from([*LOCKED, "x"]), json_values, max_size=4)


def merged(session: Json, update: Json) -> Json:
    """Return what an upstream makes of an update: groups merge, all else replaces."""
    result = dict(session)
    for key, value in update.items():
        before = session.get(key)
        groups = key in {"audio", "input", "output"}
        if groups and isinstance(before, dict) and isinstance(value, dict):
            result[key] = merged(before, value)
        else:
            result[key] = value
    return result


def holds(session: Any, bound: Any) -> bool:
    """Return whether a session says what is bound, wherever that says something."""
    if isinstance(session, dict) and isinstance(bound, dict):
        return all(k in session and holds(session[k], v) for k, v in bound.items())
    return bool(session == bound)


@pytest.mark.parametrize(
    ("update", "travels"),
    [
        ({"instructions": "Sell coffee."}, {"instructions": "Sell tea."}),
        ({"instructions": None}, {"instructions": "Sell tea."}),
        ({"tools": []}, {"tools": LOCKED["tools"]}),
        ({"tracing": "auto"}, {"tracing": None}),
        ({"audio": None}, {"audio": LOCKED["audio"]}),
        (
            {"audio": {"output": {"voice": "ash", "speed": 1.2}}},
            {"audio": {"output": {"voice": "marin", "speed": 1.2}}},
        ),
        (
            {"audio": {"input": {"transcription": {"model": "whisper-1"}}}},
            {"audio": {"input": {"transcription": None}}},
        ),
    ],
)
def test_bound_fields_are_replaced(update: Json, travels: Json) -> None:
    assert Bound(LOCKED).applied_to_session(update) == travels


@pytest.mark.parametrize(
    ("detection", "travels"),
    [
        (None, {"type": "server_vad", "silence_duration_ms": 400}),
        (
            {"type": "semantic_vad", "eagerness": "low"},
            {"type": "server_vad", "silence_duration_ms": 400},
        ),
        (
            {"type": "server_vad", "threshold": 0.9, "silence_duration_ms": 100},
            {"type": "server_vad", "threshold": 0.9, "silence_duration_ms": 400},
        ),
        (
            {"threshold": 0.9},
            {"type": "server_vad", "threshold": 0.9, "silence_duration_ms": 400},
        ),
    ],
)
def test_an_object_partly_bound_stays_open_in_the_rest(
    detection: Any, travels: Json
) -> None:
    update = {"audio": {"input": {"turn_detection": detection}}}
    shaped = Bound(LOCKED).applied_to_session(update)
    assert shaped == {"audio": {"input": {"turn_detection": travels}}}


def test_an_object_bound_without_a_type_leaves_the_type_open() -> None:
    bound = Bound({"tracing": {"group_id": "g"}})
    update = {"tracing": {"workflow_name": "w", "group_id": "other"}}
    shaped = bound.applied_to_session(update)
    assert shaped == {"tracing": {"workflow_name": "w", "group_id": "g"}}


def test_an_update_of_open_fields_is_returned_itself() -> None:
    update = {"model": "m", "audio": {"output": {"speed": 1.1}}}
    assert Bound(LOCKED).applied_to_session(update) is update


def test_a_response_takes_bound_fields_from_its_session() -> None:
    response = {
        "instructions": "Sell coffee.",
        "tools": [],
        "conversation": "none",
        "input": [{"type": "message"}],
        "audio": {"output": {"voice": "ash", "format": {"type": "audio/pcmu"}}},
    }
    assert Bound(LOCKED).applied_to_response(response) == {
        "conversation": "none",
        "input": [{"type": "message"}],
        "audio": {"output": {"format": {"type": "audio/pcmu"}}},
    }


def test_a_response_of_open_fields_is_returned_itself() -> None:
    response = {"metadata": {"a": "b"}, "audio": {"output": {"speed": 1.1}}}
    assert Bound(LOCKED).applied_to_response(response) is response


@given(json_values)
def test_nothing_bound_changes_nothing(value: Any) -> None:
    update = {"audio": value}
    for bound in (Bound(None), Bound({})):
        assert bound.applied_to_session(update) is update
        assert bound.applied_to_response(update) is update


def test_what_the_server_sets_later_is_bound_too() -> None:
    bound = Bound({"instructions": "Sell tea.", "audio": {"output": {"voice": "a"}}})
    bound.learn(
        {
            "instructions": "Sell cake.",
            "tools": [],
            "audio": {"input": {"turn_detection": None}},
        },
        None,
    )
    update = {
        "instructions": "x",
        "tools": [1],
        "audio": {"output": {"voice": "b"}, "input": {"turn_detection": {"type": "s"}}},
    }
    assert bound.applied_to_session(update) == {
        "instructions": "Sell cake.",
        "tools": [],
        "audio": {"output": {"voice": "a"}, "input": {"turn_detection": None}},
    }


def test_a_learnt_type_replaces_all_of_the_old_one() -> None:
    bound = Bound(LOCKED)
    semantic = {"type": "semantic_vad", "eagerness": "high"}
    bound.learn({"audio": {"input": {"turn_detection": semantic}}}, None)
    update = {"audio": {"input": {"turn_detection": None}}}
    shaped = bound.applied_to_session(update)
    assert shaped == {"audio": {"input": {"turn_detection": semantic}}}


def test_an_unlocked_session_learns_nothing() -> None:
    bound = Bound(None)
    bound.learn({"instructions": "Sell cake."}, None)
    update = {"instructions": "x"}
    assert bound.applied_to_session(update) is update


def test_a_locked_session_that_set_nothing_learns() -> None:
    bound = Bound({})
    bound.learn({"instructions": "Sell cake."}, None)
    update = {"instructions": "x"}
    assert bound.applied_to_session(update) == {"instructions": "Sell cake."}


def test_what_the_upstream_refused_of_the_servers_is_bound_no_more() -> None:
    bound = Bound({"instructions": "Sell tea."})
    bound.learn({"instructions": "Sell cake.", "speed": 9}, "one")
    bound.learn({"instructions": "Sell milk."}, "two")
    bound.learn({"tools": []}, None)
    update = {"instructions": "x", "speed": 1, "tools": [1]}
    bound.forget("another")
    assert bound.applied_to_session(update)["speed"] == 9
    bound.forget("one")
    assert bound.applied_to_session(update) == {
        "instructions": "Sell milk.",
        "speed": 1,
        "tools": [],
    }
    bound.forget("two")
    assert bound.applied_to_session(update)["instructions"] == "Sell tea."


def test_only_the_latest_of_the_servers_updates_can_be_taken_back() -> None:
    bound = Bound({})
    for number in range(MAX_UNANSWERED + 1):
        bound.learn({f"field_{number}": number}, f"e{number}")
    bound.forget("e0")
    bound.forget("e1")
    update = {"field_0": None, "field_1": None, "field_2": None}
    held = {"field_0": 0, "field_1": None, "field_2": 2}
    assert bound.applied_to_session(update) == held


@pytest.mark.parametrize(
    ("config", "travels"),
    [
        ({"instructions": "x"}, {}),
        ({"prompt": {"id": "ours"}}, {"prompt": {"id": "ours"}}),
        ({"prompt": None}, {"prompt": None}),
    ],
)
def test_a_prompt_cannot_bring_in_what_is_bound(config: Json, travels: Json) -> None:
    prompt = {"id": "theirs", "version": "1", "variables": {"a": "b"}}
    bound = Bound(config)
    assert bound.applied_to_session({"prompt": prompt}) == travels
    assert bound.applied_to_response({"prompt": prompt}) == {}


@given(configs)
def test_no_update_moves_a_session_away_from_what_is_bound(update: Json) -> None:
    before = deepcopy(update)
    shaped = Bound(LOCKED).applied_to_session(update)
    assert update == before
    assert holds(merged(LOCKED, shaped), LOCKED)


@given(configs, configs)
def test_nothing_raises_whatever_is_bound(config: Json, update: Json) -> None:
    bound = Bound(config)
    bound.applied_to_response(update)
    shaped = bound.applied_to_session(update)
    assert bound.applied_to_session(shaped) == shaped
    bound.learn(update, "e")
    bound.forget("e")
    assert bound.applied_to_session(update) == shaped
    bound.applied_to_session(update)
