"""What a transceiver asks for."""

import pytest

from relay.request import SessionRequest


def test_a_whole_request_is_read() -> None:
    data = b'{"call_id":"rtc_1","model":"m","session":{"model":"n"},"tenant":"t"}'
    assert SessionRequest.parse(data) == SessionRequest(
        "rtc_1", "m", {"model": "n"}, "t"
    )


def test_the_sessions_model_counts_when_there_is_no_other() -> None:
    data = b'{"call_id":"rtc_1","model":null,"session":{"model":"n"}}'
    assert SessionRequest.parse(data).model == "n"


def test_nothing_is_needed() -> None:
    assert SessionRequest.parse(b"{}") == SessionRequest("", None, None, "")


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"session":[]}', b'{"model":7}', b'{"call_id":{}}']
)
def test_what_is_no_request_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # orjson's message is its own
        SessionRequest.parse(data)
