"""Finding the call that a STUN request is for."""

import aioice.stun
from hypothesis import given, strategies as st

from transceiver.stun import local_ufrag


def request(username: str | None) -> bytes:
    message = aioice.stun.Message(
        message_method=aioice.stun.Method.BINDING,
        message_class=aioice.stun.Class.REQUEST,
    )
    message.attributes["PRIORITY"] = 1
    if username is not None:
        message.attributes["USERNAME"] = username
    message.add_message_integrity(b"password")
    return bytes(message)


@given(st.text("abcXYZ019+/", min_size=4, max_size=32), st.text("abc", min_size=4))
def test_the_ufrag_is_the_part_before_the_colon(ours: str, theirs: str) -> None:
    assert local_ufrag(request(f"{ours}:{theirs}")) == ours


def test_a_request_without_a_usable_name_is_for_nobody() -> None:
    assert local_ufrag(request(None)) is None
    assert local_ufrag(request("nocolon")) is None


@given(st.binary(max_size=200))
def test_any_bytes_give_a_name_or_none(datagram: bytes) -> None:
    found = local_ufrag(datagram)
    assert found is None or isinstance(found, str)
