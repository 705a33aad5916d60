"""RTP packets and their numbers."""

import pytest
from hypothesis import given, strategies as st

from transceiver import rtp
from transceiver.errors import MalformedPacket
from transceiver.rtp import SequenceExtender, signed_distance

BODY = b"opus payload"


def header(first: int = 0x80, second: int = 111) -> bytes:
    return bytes([first, second]) + bytes.fromhex("1234 89abcdef 01020304")


def test_a_plain_packet_is_read() -> None:
    packet = rtp.parse(header() + BODY)
    assert packet == (111, 0x1234, 0x89ABCDEF, 0x01020304, BODY)


def test_the_marker_is_no_part_of_the_payload_type() -> None:
    assert rtp.parse(header(second=0x80 | 111) + BODY).payload_type == 111


@pytest.mark.parametrize(
    "extension",
    [
        bytes.fromhex("bede 0001 10aa0000"),  # one-byte form, RFC 8285
        bytes.fromhex("1000 0002 0101aa00 00000000"),  # two-byte form
        bytes.fromhex("abcd 0000"),
    ],
)
def test_header_extensions_are_skipped(extension: bytes) -> None:
    assert rtp.parse(header(0x90) + extension + BODY).payload == BODY


def test_contributors_extension_and_padding_are_skipped_together() -> None:
    data = header(0x80 | 0x20 | 0x10 | 2) + bytes(8)
    data += bytes.fromhex("bede 0001 10aa0000") + BODY + b"\0\0\3"
    assert rtp.parse(data).payload == BODY


def test_a_packet_of_padding_only_has_an_empty_payload() -> None:
    assert rtp.parse(header(0xA0) + b"\0\0\0\4").payload == b""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        header()[:11],
        header(0x40) + BODY,
        header(0x8F) + bytes(59),
        header(0x90) + b"\xbe\xde",
        header(0x90) + bytes.fromhex("bede ffff") + BODY,
        header(0xA0) + BODY + b"\0",
        header(0xA0) + BODY + b"\xff",
    ],
)
def test_what_is_shorter_than_it_says_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedPacket):
        rtp.parse(data)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_packet_or_malformed(data: bytes) -> None:
    try:
        packet = rtp.parse(data)
    except MalformedPacket:
        return
    assert packet.payload in data


@given(
    st.integers(0, 127),
    st.integers(0, 2**17),
    st.integers(0, 2**33),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=20),
)
def test_what_is_built_is_read(
    kind: int, sequence: int, time: int, ssrc: int, body: bytes
) -> None:
    data = rtp.build_header(kind, sequence, time, ssrc, marker=True) + body
    assert rtp.parse(data) == (kind, sequence % 2**16, time % 2**32, ssrc, body)
    assert data[1] & 0x80


@given(
    st.integers(0, 65_535),
    st.lists(st.integers(-1000, 1000), max_size=300),
)
def test_sequence_numbers_are_extended_over_any_wrap(
    first: int, steps: list[int]
) -> None:
    extender = SequenceExtender(first)
    true = highest = first
    for step in steps:
        true = highest + step
        assert extender.extend(true % 65_536) == true
        highest = max(highest, true)
    assert extender.highest == highest


@given(st.integers(0, 2**32 - 1), st.integers(-(2**31), 2**31 - 1))
def test_a_distance_is_the_shorter_way_round(start: int, distance: int) -> None:
    assert signed_distance((start + distance) % 2**32, start, 32) == distance
