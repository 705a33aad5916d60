"""What becomes of the events that a client sends."""

from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from relay.client.bound import Bound
from relay.client.intake import (
    MAX_EVENT_BYTES,
    MAX_MEDIA_EVENT_BYTES,
    ClearPlayback,
    Flood,
    Forward,
    Intake,
    Refused,
)
from relay.client.limits import EVENTS_BURST, EVENTS_PER_S, Limits
from relay.upstream.protocol import PCM_24K

NOW = 1_000.0


def intake(**options: Any) -> Intake:
    chosen: dict[str, Any] = {
        "limits": Limits(),
        "bound": Bound(None),
        "speaks_beta": False,
        "has_media": False,
        **options,
    }
    return Intake(**chosen)


def media() -> Intake:
    return intake(has_media=True)


def forwarded(reader: Intake, **event: Any) -> Any:
    result = reader.read(orjson.dumps(event), NOW)
    assert isinstance(result, Forward)
    return orjson.loads(result.payload)


def refused(reader: Intake, payload: bytes) -> Refused:
    result = reader.read(payload, NOW)
    assert isinstance(result, Refused)
    return result


either = pytest.mark.parametrize("has_media", [False, True])


@either
@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"session.update", "session":{"audio":{"output":{"speed":1.10}}}}',
        b'{"type":"response.create", "response":{"metadata":{"x":"1"}}}',
        b'{"type": "of.tomorrow", "field": 1e0}',
        b' {"type":"response.cancel"}',
    ],
)
def test_what_needs_no_change_travels_byte_for_byte(
    payload: bytes, has_media: bool
) -> None:
    assert intake(has_media=has_media).read(payload, NOW) == Forward(payload)


def test_appended_audio_travels_unread() -> None:
    payload = b'{"type":"input_audio_buffer.append","audio":"not base64"}'
    assert intake().read(payload, NOW) == Forward(payload)


@pytest.mark.parametrize("kind", ["session.update", "response.create"])
def test_a_media_call_keeps_the_relays_formats(kind: str) -> None:
    field = kind.partition(".")[0]
    audio = {"output": {"format": {"type": "audio/pcma"}, "voice": "v"}}
    event = {"type": kind, "event_id": "e", field: {"audio": audio}}
    kept = {"output": {"format": PCM_24K, "voice": "v"}}
    assert forwarded(media(), **event) == {**event, field: {"audio": kept}}


@pytest.mark.parametrize("kind", ["session.update", "response.create"])
def test_a_websocket_client_chooses_its_formats(kind: str) -> None:
    audio = {"output": {"format": {"type": "audio/pcma"}}}
    field = kind.partition(".")[0]
    payload = orjson.dumps({"type": kind, field: {"audio": audio}})
    assert intake().read(payload, NOW) == Forward(payload)


@either
@pytest.mark.parametrize(
    "session", [None, [], 7, {"audio": None}, {"audio": {"input": 1}}]
)
def test_a_strange_update_is_left_to_the_upstream(
    session: object, has_media: bool
) -> None:
    reader = intake(has_media=has_media, bound=Bound({"audio": {"output": {}}}))
    event = {"type": "session.update", "session": session}
    if session == {"audio": None}:
        assert forwarded(reader, **event)["session"] == {"audio": {"output": {}}}
    else:
        payload = orjson.dumps(event)
        assert reader.read(payload, NOW) == Forward(payload)


def test_clearing_playback_is_done_here_for_a_media_call() -> None:
    payload = b'{"type":"output_audio_buffer.clear"}'
    assert media().read(payload, NOW) == ClearPlayback()


@pytest.mark.parametrize(
    ("kind", "has_media"),
    [("output_audio_buffer.clear", False), ("input_audio_buffer.append", True)],
)
def test_events_of_the_other_transport_are_refused(kind: str, has_media: bool) -> None:
    payload = orjson.dumps({"type": kind, "event_id": "e", "audio": ""})
    result = refused(intake(has_media=has_media), payload)
    assert result.code == "unsupported_event"
    assert kind in result.message
    assert (result.event_id, result.param) == ("e", "type")


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"7", b'"x"', b"\xff", b"nul"])
def test_what_is_no_json_object_is_refused(payload: bytes) -> None:
    assert refused(intake(), payload).code == "invalid_json"


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({}, "missing_required_parameter"),
        ({"type": None}, "invalid_type"),
        ({"type": []}, "invalid_type"),
        ({"type": {}}, "invalid_type"),
    ],
)
def test_an_event_needs_a_type(event: dict[str, Any], code: str) -> None:
    result = refused(intake(), orjson.dumps({"event_id": "e", **event}))
    assert result == Refused(code, result.message, "e", "type")


@either
def test_an_event_too_deep_is_refused_by_its_id(has_media: bool) -> None:
    deep = b"[" * 64 + b"]" * 64
    payload = b'{"type":"session.update","event_id":"e","session":%s}' % deep
    result = refused(intake(has_media=has_media), payload)
    assert (result.code, result.event_id) == ("invalid_json", "e")


@pytest.mark.parametrize(
    ("has_media", "limit"), [(False, MAX_EVENT_BYTES), (True, MAX_MEDIA_EVENT_BYTES)]
)
def test_an_event_has_a_largest_size(has_media: bool, limit: int) -> None:
    reader = intake(has_media=has_media)
    payload = b'{"type":"x","x":"'
    payload += b"x" * (limit - len(payload) - 2) + b'"}'
    assert reader.read(payload, NOW) == Forward(payload)
    assert refused(reader, payload + b" ").code == "event_too_large"


def test_events_that_come_too_fast_are_refused_until_they_slow_down() -> None:
    reader = intake()
    payload = b'{"type":"response.create","event_id":"e"}'
    for _ in range(EVENTS_BURST):
        assert isinstance(reader.read(payload, NOW), Forward)
    result = refused(reader, payload)
    assert (result.code, result.event_id) == ("rate_limit_exceeded", "e")
    assert isinstance(reader.read(payload, NOW + 2 / EVENTS_PER_S), Forward)


def test_audio_keeps_coming_while_other_events_are_too_many() -> None:
    reader = intake()
    while isinstance(reader.read(b'{"type":"response.cancel"}', NOW), Forward):
        pass
    payload = b'{"type":"input_audio_buffer.append","audio":""}'
    assert reader.read(payload, NOW) == Forward(payload)


def test_a_client_cannot_change_what_is_bound() -> None:
    reader = intake(bound=Bound({"instructions": "Sell tea."}))
    session = {"instructions": "Sell coffee.", "model": "m"}
    event = forwarded(reader, type="session.update", event_id="e", session=session)
    assert event["session"] == {"instructions": "Sell tea.", "model": "m"}
    assert event["event_id"] == "e"
    event = forwarded(
        reader, type="response.create", response={"instructions": "Sell coffee."}
    )
    assert event["response"] == {}


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"session.update","session":{"instructions":"x"},"type":"y"}',
        b'{"type":"session.update","session":{"instructions":"x"},"session":{}}',
        b'{"type":"session.update","session":{"instructions":"x"},'
        b'"type":"input_audio_buffer.append"}',
    ],
)
def test_a_name_given_twice_cannot_smuggle_past_what_is_bound(payload: bytes) -> None:
    result = intake(bound=Bound({"instructions": "Sell tea."})).read(payload, NOW)
    assert isinstance(result, Forward)
    assert orjson.loads(result.payload) == orjson.loads(payload)
    for name in (b'"type"', b'"session"'):
        assert result.payload.count(name) == 1


def test_what_the_server_sets_at_a_sideband_binds_its_client() -> None:
    bound = Bound({"instructions": "Sell tea."})
    client = intake(bound=bound, has_media=True)
    server = intake(bound=bound, has_media=True, binds=True)
    payload = orjson.dumps(
        {"type": "session.update", "session": {"instructions": "Sell cake."}}
    )
    assert server.read(payload, NOW) == Forward(payload)
    response = {"instructions": "Say goodbye."}
    event = forwarded(server, type="response.create", response=response)
    assert event["response"] == response
    event = forwarded(
        client, type="session.update", session={"instructions": "Sell coffee."}
    )
    assert event["session"] == {"instructions": "Sell cake."}


def test_a_sideband_cannot_change_the_formats_either() -> None:
    server = intake(has_media=True, binds=True)
    audio = {"input": {"format": {"type": "audio/pcmu"}}}
    event = forwarded(server, type="session.update", session={"audio": audio})
    assert event["session"]["audio"]["input"]["format"] == PCM_24K


def test_a_beta_clients_update_is_translated_before_it_is_bound() -> None:
    reader = intake(
        speaks_beta=True,
        has_media=True,
        bound=Bound({"audio": {"output": {"voice": "marin"}}}),
    )
    session = {"voice": "ash", "output_audio_format": "g711_ulaw", "temperature": 0.8}
    event = forwarded(reader, type="session.update", session=session)
    assert event["session"] == {
        "type": "realtime",
        "audio": {"output": {"voice": "marin", "format": PCM_24K}},
    }


def test_a_locked_session_is_written_in_ga_whoever_writes() -> None:
    reader = intake(bound=Bound({"audio": {"output": {"voice": "marin"}}}))
    event = forwarded(reader, type="session.update", session={"voice": "ash"})
    assert event["session"]["audio"] == {"output": {"voice": "marin"}}
    assert "voice" not in event["session"]
    event = forwarded(reader, type="response.create", response={"voice": "ash"})
    assert event["response"] == {"audio": {"output": {}}}


def test_a_locked_session_is_not_changed_by_betas_other_update() -> None:
    bound = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
    session = {"turn_detection": {"type": "server_vad"}}
    reader = intake(bound=Bound(bound))
    event = forwarded(reader, type="transcription_session.update", session=session)
    assert event == {"type": "session.update", "session": bound}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "conversation.item.create", "item": {"type": "mcp_list_tools"}},
        {
            "type": "response.create",
            "response": {"input": ["x", {"type": "mcp_list_tools", "tools": []}]},
        },
    ],
)
def test_bound_tools_are_not_listed_anew_by_the_client(event: dict[str, Any]) -> None:
    result = refused(intake(bound=Bound({"tools": []})), orjson.dumps(event))
    assert result.code == "invalid_value"
    payload = orjson.dumps(event)
    for reader in (intake(), intake(bound=Bound({"instructions": "x"}))):
        assert isinstance(reader.read(payload, NOW), Forward)
    server = intake(bound=Bound({"tools": []}), binds=True, has_media=True)
    assert isinstance(server.read(payload, NOW), Forward)


@either
def test_a_client_that_sends_nothing_but_nonsense_is_let_go(has_media: bool) -> None:
    reader = intake(has_media=has_media)
    for _ in range(EVENTS_BURST - 1):
        assert refused(reader, b"[]").code == "invalid_json"
    while (result := reader.read(b"[]", NOW)) != Flood():
        assert isinstance(result, Refused)
    assert isinstance(reader.read(b'{"type":"x"}', NOW), Forward)
    assert isinstance(reader.read(b"[]", NOW + 1), Refused)


def test_a_million_values_are_refused_unread() -> None:
    payload = b'{"type":"x","x":[' + b"[]," * 1_000_000 + b"[]]}"
    assert refused(intake(), payload).code == "event_too_large"


names = st.sampled_from([
    "type", "event_id", "session", "response", "audio", "input", "output", "item",
    "format", "voice", "content", "role", "tools", "modalities", "tool_choice",
])  # fmt: skip
kinds = st.sampled_from([
    "session.update", "response.create", "conversation.item.create", "x",
    "input_audio_buffer.append", "output_audio_buffer.clear",
])  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4)
    ),
    max_leaves=15,
)
events = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    kinds | values,
    st.dictionaries(names, values, max_size=5),
)


@given(events, st.booleans(), st.booleans(), st.dictionaries(names, values, max_size=3))
def test_no_event_raises(
    event: Any, speaks_beta: bool, has_media: bool, config: dict[str, Any]
) -> None:
    reader = intake(speaks_beta=speaks_beta, has_media=has_media, bound=Bound(config))
    result = reader.read(orjson.dumps(event), NOW)
    if isinstance(result, Forward):
        assert orjson.loads(result.payload)["type"] == event["type"]


@given(st.binary(max_size=200))
def test_no_bytes_raise(payload: bytes) -> None:
    media().read(payload, NOW)
