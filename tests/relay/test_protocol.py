"""What goes to and comes from a Realtime API."""

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from relay.upstream import events, protocol
from relay.upstream.protocol import PCM_24K


def read(**event: object) -> events.UpstreamEvent:
    return protocol.read_upstream(orjson.dumps(event))


@pytest.mark.parametrize("field", [b"event_id", b"code"])
def test_an_error_nested_as_deeply_as_json_may_be_is_read(field: bytes) -> None:
    deep = b"[" * 1000 + b"]" * 1000
    own = b'"event_id":"tandem_relay_1",' if field == b"code" else b""
    message = b'{"type":"error","error":{%b"%b":%b}}' % (own, field, deep)
    event = protocol.read_upstream(message)
    assert isinstance(event, events.OwnError if own else events.Failure)


@given(st.binary(max_size=2000))
def test_appended_audio_is_what_json_would_say(pcm: bytes) -> None:
    event = orjson.loads(protocol.append(pcm))
    assert event["type"] == "input_audio_buffer.append"
    assert base64.b64decode(event["audio"], validate=True) == pcm
    assert event["event_id"].startswith(events.OWN_PREFIX)


@pytest.mark.parametrize(
    "name", ["response.output_audio.delta", "response.audio.delta"]
)
def test_an_audio_delta_is_read_under_both_names(name: str) -> None:
    fields = {"response_id": "r", "item_id": "i", "content_index": 1}
    assert read(type=name, delta="AAEC", **fields) == events.AudioDelta(
        "r", "i", 1, b"\0\1\2"
    )


@pytest.mark.parametrize("kind", ["audio", "output_audio"])
def test_a_part_to_be_spoken_is_known_before_its_audio(kind: str) -> None:
    fields = {"response_id": "r", "item_id": "i", "content_index": 1}
    added = read(type="response.content_part.added", part={"type": kind}, **fields)
    assert added == events.AudioBegan("r", "i", 1)


def test_a_part_to_be_read_passes() -> None:
    fields = {"response_id": "r", "item_id": "i", "content_index": 0}
    added = read(type="response.content_part.added", part={"type": "text"}, **fields)
    assert added == events.Passing()


@pytest.mark.parametrize(
    ("response", "out_of_band"),
    [
        ({"id": "r"}, False),
        ({"id": "r", "conversation_id": "c"}, False),
        ({"id": "r", "conversation_id": None}, True),
    ],
)
def test_a_response_of_no_conversation_is_out_of_band(
    response: dict[str, Any], out_of_band: bool
) -> None:
    event = read(type="response.created", response=response)
    assert event == events.ResponseCreated("r", out_of_band)


@pytest.mark.parametrize(
    ("turn_detection", "interrupts"),
    [
        ({"type": "server_vad"}, True),
        ({"type": "server_vad", "interrupt_response": True}, True),
        ({"type": "semantic_vad", "interrupt_response": False}, False),
        (None, True),
    ],
)
def test_a_session_says_whether_speech_interrupts(
    turn_detection: dict[str, Any] | None, interrupts: bool
) -> None:
    session = {"audio": {"input": {"turn_detection": turn_detection}}}
    event = read(type="session.updated", session=session)
    assert event == events.SessionConfigured(interrupts, session, is_answer=True)


@pytest.mark.parametrize("samples", [1, 2, 3, 480, 1440, 1441, 48_000])
def test_silence_is_appended_as_zeros(samples: int) -> None:
    assert protocol.append_silence(samples) == protocol.append(bytes(2 * samples))


def test_unknown_events_pass() -> None:
    assert read(type="anything.else", deep={"x": []}) == events.Passing()


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"null",
        b"{}",
        b'{"type":[]}',
        b'{"type":"response.output_audio.delta","delta":"A"}',
        b'{"type":"response.output_audio.delta","delta":7}',
        b'{"type":"response.output_audio.delta","delta":"","item_id":[]}',
        b'{"type":"response.output_audio.delta","delta":"","content_index":"0"}',
    ],
)
def test_what_is_no_event_or_cannot_be_played_is_malformed(message: bytes) -> None:
    assert isinstance(protocol.read_upstream(message), events.Malformed)


@pytest.mark.parametrize("has_media", [True, False])
@pytest.mark.parametrize(
    "message",
    [
        b'{"type":7}',
        b'{"type":"response.done","response":{"id":{}}}',
        b'{"type":"response.created","response":null}',
        b'{"type":"session.created"}',
        b'{"type":"session.updated","session":7}',
    ],
)
def test_an_event_that_lacks_what_the_relay_reads_passes(
    message: bytes, has_media: bool
) -> None:
    event = protocol.read_upstream(message, has_media=has_media)
    assert event == events.Passing()


def test_audio_that_the_relay_does_not_play_is_not_read() -> None:
    message = b'{"type":"response.output_audio.delta","delta":"A"}'
    assert protocol.read_upstream(message, has_media=False) == events.Passing()


@given(st.binary(max_size=200))
def test_no_message_raises(message: bytes) -> None:
    protocol.read_upstream(message)


def test_the_opening_asks_for_the_relays_formats_and_for_turns() -> None:
    event = orjson.loads(protocol.media_update(None))
    assert event == {
        "type": "session.update",
        "session": {
            "type": "realtime",
            "audio": {
                "input": {"format": PCM_24K, "turn_detection": {"type": "server_vad"}},
                "output": {"format": PCM_24K},
            },
        },
    }


def test_the_opening_keeps_what_the_client_wished() -> None:
    wished = {
        "model": "m",
        "tools": [{"name": "f"}],
        "audio": {
            "input": {"turn_detection": None, "format": {"type": "audio/pcmu"}},
            "output": {"voice": "v"},
        },
    }
    session = orjson.loads(protocol.media_update(wished))["session"]
    assert session["model"] == "m"
    assert session["tools"] == [{"name": "f"}]
    assert session["audio"]["input"] == {"turn_detection": None, "format": PCM_24K}
    assert session["audio"]["output"] == {"voice": "v", "format": PCM_24K}


@pytest.mark.parametrize(
    ("session", "model", "query"),
    [
        (None, "m", {"model": "m"}),
        (None, "", {}),
        ({"type": "realtime"}, "m", {"model": "m"}),
        ({"type": "transcription"}, "m", {"intent": "transcription"}),
    ],
)
def test_the_url_names_the_model_or_the_intent(
    session: dict[str, str] | None, model: str, query: dict[str, str]
) -> None:
    assert protocol.query(session, model) == query


def test_the_opening_of_a_transcription_names_no_output() -> None:
    event = orjson.loads(protocol.media_update({"type": "transcription"}))
    assert set(event["session"]["audio"]) == {"input"}


@pytest.mark.parametrize("session", [None, {}, {"type": "realtime", "model": "m"}])
def test_a_client_without_wishes_needs_no_update(
    session: dict[str, Any] | None,
) -> None:
    assert protocol.direct_update(session) is None
    assert protocol.direct_update(session, event_id="e") is not None


def test_a_websocket_clients_wishes_keep_their_formats() -> None:
    wished = {"audio": {"output": {"format": {"type": "audio/pcmu"}}}}
    update = protocol.direct_update(wished)
    assert update is not None
    assert orjson.loads(update) == {
        "type": "session.update",
        "session": {"type": "realtime", **wished},
    }


def test_own_errors_are_known_by_their_event_id() -> None:
    own = events.OWN_PREFIX + "1"
    assert read(type="error", error={"event_id": own, "code": "c"}) == events.OwnError(
        "c", own
    )


def test_other_errors_name_the_event_that_caused_them() -> None:
    assert read(type="error", error={"event_id": "x"}) == events.Failure("x")
    assert read(type="error", error={"event_id": None}) == events.Failure(None)
    assert read(type="error", error=None) == events.Failure(None)


def test_an_error_about_the_relays_key_is_its_own() -> None:
    error = {"code": "invalid_api_key", "message": "Incorrect: sk-...1234."}
    assert read(type="error", error=error) == events.OwnError("invalid_api_key")
