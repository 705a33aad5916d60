"""One session configuration laid over another."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, strategies as st

from proto.overlay import overlaid

values = st.recursive(
    st.none() | st.integers() | st.sampled_from(["server_vad", "semantic_vad"]),
    lambda inner: st.dictionaries(st.sampled_from(["type", "a", "b"]), inner),
    max_leaves=8,
)
configs = st.dictionaries(st.sampled_from(["type", "a", "b"]), values)


@pytest.mark.parametrize(
    ("under", "over", "merged"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": {"x": 1, "y": 1}}, {"a": {"y": 2}}, {"a": {"x": 1, "y": 2}}),
        ({"a": {"x": 1}}, {"a": None}, {"a": None}),
        ({"a": None}, {"a": {"x": 1}}, {"a": {"x": 1}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"type": "s", "x": 1}}, {"a": {"type": "t"}}, {"a": {"type": "t"}}),
        ({"a": {"x": 1}}, {"a": {"type": "t"}}, {"a": {"type": "t", "x": 1}}),
        (
            {"a": {"type": "t", "x": 1}},
            {"a": {"y": 2}},
            {"a": {"type": "t", "x": 1, "y": 2}},
        ),
    ],
)
def test_objects_merge_unless_they_are_of_different_types(
    under: dict[str, Any], over: dict[str, Any], merged: dict[str, Any]
) -> None:
    assert overlaid(under, over) == merged


@given(configs, configs)
def test_what_lies_over_holds_and_nothing_is_altered(
    under: dict[str, Any], over: dict[str, Any]
) -> None:
    before = deepcopy((under, over))
    merged = overlaid(under, over)
    assert (under, over) == before
    assert overlaid(merged, over) == merged
