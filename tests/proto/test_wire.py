from typing import Any

import msgpack
import pytest
from hypothesis import given, strategies as st

from proto import messages, wire
from proto.errors import CloseCode, RemoteError
from proto.frames import DownFrame, UpFrame
from proto.payload import MAX_PAYLOAD_BYTES

integer = st.integers(0, messages.MAX_INT)
positive = st.integers(1, messages.MAX_INT)
session = st.integers(1, messages.MAX_SESSION)
lead_ms = st.integers(0, messages.MAX_LEAD_MS)
payload = st.binary(min_size=1, max_size=MAX_PAYLOAD_BYTES)


def ascending(values: list[int]) -> list[int]:
    unique = sorted(set(values))
    return unique if len(unique) % 2 else unique[:-1]


acks = st.builds(
    lambda session, limit, marks: messages.Ack(
        session, marks[0], limit, tuple(marks[1:])
    ),
    session,
    integer,
    st.lists(integer, min_size=1, max_size=33).map(ascending),
)
controls = st.one_of(
    st.builds(messages.Ping, integer, integer),
    st.builds(messages.Pong, integer),
    st.builds(messages.Bye, integer),
    st.builds(messages.Last, session, positive, lead_ms),
    st.builds(
        messages.Nack,
        session,
        st.lists(integer, max_size=messages.MAX_ASKED).map(tuple),
    ),
    st.builds(
        messages.Fragment,
        session,
        positive,
        integer,
        st.booleans(),
        st.binary(max_size=messages.MAX_FRAGMENT_BYTES),
    ),
    acks,
    st.builds(messages.Reset, session, integer),
    st.builds(messages.Flush, session, integer, integer),
    st.builds(messages.Flushed, session, integer, integer, integer),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats()
    | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=8)
    | st.dictionaries(st.text(max_size=3), inner, max_size=2),
)  # fmt: skip


@given(controls)
def test_what_was_encoded_is_decoded(message: messages.Control) -> None:
    assert wire.decode(wire.encode(message)) == message


@given(controls)
def test_every_message_fits_a_datagram(message: messages.Control) -> None:
    overhead = wire.MIN_DATAGRAM_BYTES
    assert len(wire.encode(message)) + overhead <= wire.MAX_DATAGRAM_BYTES


@given(session, positive, st.builds(UpFrame, integer, integer, integer, payload))
def test_uplink_frames_cross_unchanged(number: int, seq: int, frame: UpFrame) -> None:
    expected = messages.Up(number, seq, frame)
    assert wire.decode(wire.encode_up(number, seq, frame)) == expected


@given(session, positive, st.builds(DownFrame, positive, integer, lead_ms, payload))
def test_downlink_frames_cross_unchanged(
    number: int, seq: int, frame: DownFrame
) -> None:
    plaintext = wire.encode_down(number, seq, frame)
    assert wire.decode(plaintext) == messages.Down(number, seq, frame)
    assert len(plaintext) + wire.MIN_DATAGRAM_BYTES <= wire.MAX_DATAGRAM_BYTES


def decodes_or_is_refused(plaintext: bytes) -> None:
    try:
        message = wire.decode(plaintext)
    except RemoteError:
        return
    assert isinstance(message, tuple)


@given(st.binary(max_size=1200))
def test_any_bytes_decode_or_are_the_peers_fault(plaintext: bytes) -> None:
    decodes_or_is_refused(plaintext)


@given(st.integers(0, 14), st.lists(anything, max_size=8))
def test_any_array_decodes_or_is_the_peers_fault(kind: int, rest: list[Any]) -> None:
    decodes_or_is_refused(msgpack.packb([kind, *rest]))


@pytest.mark.parametrize(
    "fields",
    [
        [],
        ["1"],
        [True, 1, 1],
        [0],
        [99, 1],
        [1],
        [1, 2],
        [1, 2, 3, 4],
        [1, -1, 0],
        [1, 2**63, 0],
        [4, 0, 1, 0, 0, 0, b"\0\0"],
        [4, 2**32, 1, 0, 0, 0, b"\0\0"],
        [4, 1, 0, 0, 0, 0, b"\0\0"],
        [4, 1, 1, 0, 0, 0, b""],
        [4, 1, 1, 0, 0, 0, bytes(1001)],
        [4, 1, 1, 0, 0, 0, "\0\0"],
        [4, 1, 1, 0.0, 0, 0, b"\0\0"],
        [4, 1, 1, 0, 0, b"\0\0"],
        [5, 1, 1, 0, 0, 0, b"\0\0"],
        [5, 1, 1, 1, 0, 60_001, b"\0\0"],
        [6, 1, 0, 0],
        [7, 1, 5],
        [7, 1, [1] * 65],
        [8, 1, 0, 3, True, b""],
        [8, 1, 1, 3, 1, b""],
        [8, 1, 1, 3, True, bytes(1101)],
        [9, 1, 1, 257, [3]],
        [9, 1, 5, 257, [4, 6]],
        [9, 1, 5, 257, [9, 8]],
        [9, 1, 5, 257, list(range(6, 40))],
        [11, 0, 1, 1],
    ],
)
def test_what_is_outside_the_limits_is_refused(fields: list[Any]) -> None:
    with pytest.raises(RemoteError):
        wire.decode(msgpack.packb(fields))


def test_a_deeply_nested_array_is_refused() -> None:
    with pytest.raises(RemoteError):
        wire.decode(b"\x91" * 1100)


def test_a_close_code_of_a_later_version_reads_as_internal() -> None:
    assert wire.decode_close(msgpack.packb([999, "new"])) == (CloseCode.INTERNAL, "new")


@given(st.sampled_from(CloseCode), st.text(max_size=600))
def test_a_long_reason_is_cut_at_a_character(code: CloseCode, reason: str) -> None:
    decoded, cut = wire.decode_close(wire.encode_close(code, reason))
    assert decoded is code
    assert reason.startswith(cut)
    assert len(cut.encode()) <= messages.MAX_REASON_BYTES


@given(st.binary(max_size=64))
def test_any_close_payload_decodes_or_is_refused(payload: bytes) -> None:
    try:
        wire.decode_close(payload)
    except RemoteError:
        return
