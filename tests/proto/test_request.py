"""What a transceiver asks for, and the error event that both services may send."""

from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st
from openai.types.realtime import RealtimeErrorEvent

from proto.realtime import error_event
from proto.request import SessionRequest

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
OBJECTS = st.dictionaries(TEXT, st.none() | st.booleans() | TEXT, max_size=3).filter(
    lambda fields: not isinstance(fields.get("model"), bool)
)


@given(
    st.builds(
        SessionRequest,
        call_id=TEXT,
        tenant=TEXT,
        model=st.none() | TEXT,
        session=st.none() | OBJECTS,
        bound=st.none() | OBJECTS,
        speaks_beta=st.booleans(),
        max_event_bytes=st.none() | st.integers(1, 1 << 40),
        traceparent=st.none() | TEXT,
    )
)
def test_a_request_arrives_as_it_was_sent(request: SessionRequest) -> None:
    assert SessionRequest.decode(request.encode()) == request


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    try:
        assert isinstance(SessionRequest.decode(data), SessionRequest)
    except ValueError:
        return


@pytest.mark.parametrize("name", ["session", "bound"])
def test_a_session_nested_deeper_than_can_be_written_again_is_refused(
    name: str,
) -> None:
    levels = 250  # orjson reads as many and writes a few more
    session = b'{"tools":' + b"[" * levels + b"]" * levels + b"}"
    request = b'{"call_id":"rtc_1","tenant":"t","%s":%s}' % (name.encode(), session)
    with pytest.raises(ValueError, match=f"{name} is nested too deeply"):
        SessionRequest.decode(request)


@pytest.mark.parametrize(
    ("bound", "model", "session", "chosen"),
    [
        ("locked", "asked", "own", "locked"),
        (None, "asked", "own", "asked"),
        (None, None, "own", "own"),
        (None, "", "own", "own"),
        (None, None, None, None),
    ],
)
def test_the_model_is_the_bound_one_then_the_one_asked_for_then_the_sessions(
    bound: str | None, model: str | None, session: str | None, chosen: str | None
) -> None:
    request = SessionRequest(
        call_id="sess_1",
        tenant="t",
        model=model,
        session={"model": session},
        bound={"model": bound} if bound else None,
    )
    assert request.model == chosen


def test_where_there_is_no_trace_nothing_is_said_of_it() -> None:
    assert b"traceparent" not in SessionRequest(call_id="c", tenant="t").encode()


def test_a_field_of_a_later_version_is_left_out() -> None:
    request = SessionRequest.decode(b'{"call_id":"c","tenant":"t","later":1}')
    assert request == SessionRequest(call_id="c", tenant="t")


@pytest.mark.parametrize(
    "fields",
    [
        [],
        {"tenant": "t"},
        {"call_id": "c"},
        {"call_id": "", "tenant": "t"},
        {"call_id": {}, "tenant": "t"},
        {"call_id": "c", "tenant": "t", "model": 7},
        {"call_id": "c", "tenant": "t", "session": []},
        {"call_id": "c", "tenant": "t", "session": {"model": 7}},
        {"call_id": "c", "tenant": "t", "bound": "all"},
        {"call_id": "c", "tenant": "t", "traceparent": 7},
        {"call_id": "c", "tenant": "t", "max_event_bytes": 0},
        {"call_id": "c", "tenant": "t", "max_event_bytes": True},
    ],
)
def test_what_is_no_request_is_refused(fields: Any) -> None:
    with pytest.raises(ValueError, match="is "):
        SessionRequest.decode(orjson.dumps(fields))


def test_a_request_nested_too_deeply_is_refused_by_its_sender() -> None:
    session: dict[str, Any] = {}
    for _ in range(300):
        session = {"deeper": session}
    request = SessionRequest(call_id="c", tenant="t", session=session)
    with pytest.raises(orjson.JSONEncodeError):
        request.encode()


def test_an_error_event_is_what_the_api_documents() -> None:
    data = error_event(
        "event_1", "invalid_request_error", "bad", "It is bad.", "mine", "session.x"
    )
    event = RealtimeErrorEvent.model_validate_json(data, strict=True)
    assert event.event_id == "event_1"
    assert event.error.to_dict() == {
        "type": "invalid_request_error",
        "code": "bad",
        "message": "It is bad.",
        "param": "session.x",
        "event_id": "mine",
    }
