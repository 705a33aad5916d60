"""Audio deltas that are not parsed say what their parse would."""

import base64
import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings, strategies as st

from relay.upstream import protocol
from relay.upstream.deltas import Deltas
from relay.upstream.events import AudioDelta

DELTA: dict[str, Any] = {
    "type": "response.output_audio.delta",
    "event_id": "event_1",
    "response_id": "resp_1",
    "item_id": "item_1",
    "output_index": 0,
    "content_index": 0,
    "delta": "AAEC",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def learnt(message: bytes) -> Deltas:
    """Return a reader that has parsed one message."""
    deltas = Deltas()
    delta = protocol.read_upstream(message)
    assert isinstance(delta, AudioDelta)
    deltas.learn(message, delta)
    return deltas


def assert_no_other_meaning(deltas: Deltas, message: bytes) -> None:
    read = deltas.read(message)
    assert read is None or read == protocol.read_upstream(message)


@given(st.from_regex(r"[A-Za-z0-9_-]+", fullmatch=True), st.binary(max_size=2000))
def test_the_next_delta_of_a_part_is_read(event_id: str, pcm: bytes) -> None:
    deltas = learnt(orjson.dumps(DELTA))
    audio = base64.b64encode(pcm).decode()
    message = orjson.dumps({**DELTA, "event_id": event_id, "delta": audio})
    if event_id.strip("_-"):
        assert deltas.read(message) == AudioDelta("resp_1", "item_1", 0, pcm)
    assert_no_other_meaning(deltas, message)


@pytest.mark.parametrize(
    "message",
    [
        orjson.dumps({**DELTA, "response_id": "resp_2"}),
        orjson.dumps({**DELTA, "item_id": "item_2"}),
        orjson.dumps({**DELTA, "content_index": 1}),
        orjson.dumps({**DELTA, "type": "response.output_text.delta"}),
        orjson.dumps({**DELTA, "event_id": 'a"b'}),
        orjson.dumps({**DELTA, "event_id": "\\"}),
        orjson.dumps({**DELTA, "event_id": ""}),
        orjson.dumps({**DELTA, "delta": "AAE"}),
        orjson.dumps({**DELTA, "delta": "AAEC=AAEC"}),
        orjson.dumps({**DELTA, "delta": "AAEC\n"}),
        orjson.dumps({**DELTA, "delta": "AAEC", "more": 1}),
        orjson.dumps(DELTA).replace(b'"AAEC"}', b'"AAEC","delta":"AAEC"}'),
        orjson.dumps(DELTA).replace(b'"AAEC"}', b'"}'),
        orjson.dumps(DELTA).replace(b"event_1", b"event_1\\"),
        orjson.dumps(DELTA) + b" ",
        orjson.dumps(DELTA)[:-1],
        b"",
    ],
)
def test_what_differs_in_anything_else_is_for_the_parser(message: bytes) -> None:
    assert learnt(orjson.dumps(DELTA)).read(message) is None


@pytest.mark.parametrize(
    "message",
    [
        json.dumps(DELTA).encode(),
        orjson.dumps(DELTA).replace(b'{"type"', b'{"delta":"BBBB","type"'),
        orjson.dumps({"delta": "AAEC", **DELTA}),
        orjson.dumps({name: DELTA[name] for name in DELTA if name != "event_id"}),
        orjson.dumps({**DELTA, "item_id": "\0tandem\0"}),
    ],
    ids=["spaces", "a name twice", "audio first", "no id", "the mark"],
)
def test_nothing_is_learnt_where_the_next_one_could_mean_something_else(
    message: bytes,
) -> None:
    assert learnt(message).read(message) is None


def test_an_upstream_that_writes_otherwise_is_learnt_from_no_more() -> None:
    deltas = learnt(json.dumps(DELTA).encode())
    compact = orjson.dumps(DELTA)
    deltas.learn(compact, AudioDelta("resp_1", "item_1", 0, b""))
    assert deltas.read(compact) is None


def test_what_is_nested_deeper_than_can_be_written_is_not_learnt_from() -> None:
    deep = b'{"deep":' + 1000 * b"[" + 1000 * b"]" + b"," + orjson.dumps(DELTA)[1:]
    assert learnt(deep).read(deep) is None


def test_a_part_whose_deltas_all_differ_is_learnt_from_no_more() -> None:
    deltas, last = Deltas(), b""
    for number in range(10):
        last = orjson.dumps({**DELTA, "number": number})
        delta = protocol.read_upstream(last)
        assert isinstance(delta, AudioDelta)
        assert deltas.read(last) is None
        deltas.learn(last, delta)
    assert deltas.read(last) is None
    other = orjson.dumps({**DELTA, "item_id": "item_2"})
    delta = protocol.read_upstream(other)
    assert isinstance(delta, AudioDelta)
    deltas.learn(other, delta)
    assert deltas.read(other) == delta


def test_another_part_takes_the_place_of_the_one_before() -> None:
    deltas = learnt(orjson.dumps(DELTA))
    other = orjson.dumps({**DELTA, "item_id": "item_2"})
    parsed = protocol.read_upstream(other)
    assert isinstance(parsed, AudioDelta)
    deltas.learn(other, parsed)
    assert deltas.read(other) == parsed
    assert deltas.read(orjson.dumps(DELTA)) is None


@settings(max_examples=300)
@given(
    st.dictionaries(st.text(max_size=8), JSON, max_size=3),
    st.lists(
        st.tuples(
            st.integers(0, 300),
            st.integers(0, 3),
            st.sampled_from([b"", b'"', b"\\", b"=", b"}", b",", b"A", b'"delta":"AA'])
            | st.binary(max_size=4),
        ),
        min_size=1,
        max_size=4,
    ),
)
def test_no_change_to_a_message_gives_it_another_meaning_than_its_parse(
    more: dict[str, Any], changes: list[tuple[int, int, bytes]]
) -> None:
    message = orjson.dumps({**DELTA, **{f"x{name}": more[name] for name in more}})
    deltas = learnt(message)
    for at, length, put in changes:
        where = at % (len(message) + 1)
        message = message[:where] + put + message[where + length :]
        assert_no_other_meaning(deltas, message)


@given(st.text(max_size=20), st.text(max_size=20))
def test_ids_and_audio_of_any_characters_mean_what_their_parse_says(
    event_id: str, audio: str
) -> None:
    deltas = learnt(orjson.dumps(DELTA))
    escaped = orjson.dumps({**DELTA, "event_id": event_id, "delta": audio})
    raw = orjson.dumps(DELTA).replace(b"event_1", event_id.encode())
    raw = raw.replace(b"AAEC", audio.encode())
    assert_no_other_meaning(deltas, escaped)
    assert_no_other_meaning(deltas, raw)
