"""Redundant audio, built and read."""

import pytest
from hypothesis import given, strategies as st

from bench.load import red as load_red
from codec.opus import Encoder
from proto.frames import FRAME_SAMPLES
from tests.transceiver.leg import FRAME_TICKS, voice
from transceiver import red
from transceiver.errors import MalformedPacket

OPUS = 111


def spoken(count: int) -> list[bytes]:
    encoder = Encoder()
    return [
        encoder.encode(voice(i * FRAME_SAMPLES, FRAME_SAMPLES)) for i in range(count)
    ]


def headers(*repeats: tuple[int, int, int], kind: int = OPUS) -> bytes:
    """Return the headers of repeats of (payload type, offset, length)."""
    packed = [(0x80 | k) << 24 | offset << 10 | size for k, offset, size in repeats]
    return b"".join(header.to_bytes(4) for header in packed) + bytes((kind,))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_what_is_built_is_read_again_the_newest_repeat_first(count: int) -> None:
    *earlier, payload = spoken(count + 1)
    before = [(-i * FRAME_TICKS, old) for i, old in enumerate(reversed(earlier), 1)]
    data = red.build(OPUS, payload, 0, before)
    assert red.newest(data) == (OPUS, payload)
    assert red.repeats(data, OPUS) == [(-at, old) for at, old in before]


def test_the_layout_is_that_of_rfc_2198() -> None:
    data = red.build(OPUS, b"new", 2000, [(1040, b"older"), (80, b"oldest")])
    expected = headers((OPUS, 1920, 6), (OPUS, 960, 5)) + b"oldest" + b"older" + b"new"
    assert data == expected


def test_another_implementation_reads_what_is_built_and_the_other_way_round() -> None:
    old, new = spoken(2)
    assert load_red.primary(red.build(OPUS, new, FRAME_TICKS, [(0, old)])) == new
    data = load_red.repeat(new, old)
    assert red.newest(data) == (load_red.OPUS_TYPE, new)
    assert red.repeats(data, load_red.OPUS_TYPE) == [(FRAME_TICKS, old)]


@pytest.mark.parametrize(
    "before",
    [
        [(-red.MAX_OFFSET_TICKS - 1, b"too old"), (-99, b"older")],
        [(-960, bytes(red.MAX_BLOCK_BYTES + 1)), (-1920, b"older")],
        [(-960, bytes(red.MAX_BYTES - 2)), (-1920, b"older")],
    ],
)
def test_what_does_not_fit_is_left_out_with_all_before_it(
    before: list[tuple[int, bytes]],
) -> None:
    assert red.build(OPUS, b"new", 0, before) == bytes((OPUS,)) + b"new"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        headers((OPUS, 960, 3))[:4],
        headers((OPUS, 960, 3)) + b"xx",
        headers((OPUS, 1920, 2), (OPUS, 960, 2)) + b"xxx",
        headers(*[(OPUS, 0, 0)] * (red.MAX_REPEATS + 1)),
        b"\xff" * 50,
    ],
)
def test_what_is_cut_off_or_has_no_end_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedPacket):
        red.newest(data)


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_malformed(data: bytes) -> None:
    try:
        _, payload = red.newest(data)
    except MalformedPacket:
        return
    held = sum(len(repeat.payload) for repeat in red.repeats(data, data[0] & 0x7F))
    assert len(payload) + held < len(data)


@pytest.mark.parametrize(
    ("kind", "offset"),
    [(110, FRAME_TICKS), (OPUS, FRAME_TICKS - 1), (OPUS, 0)],
)
def test_a_repeat_that_does_not_fit_in_front_of_the_next_ends_them(
    kind: int, offset: int
) -> None:
    oldest, old, new = spoken(3)
    head = headers((OPUS, 3 * FRAME_TICKS, len(oldest)), (kind, offset, len(old)))
    assert red.repeats(head + oldest + old + new, OPUS) == []


def test_a_repeat_of_before_a_pause_keeps_its_place_in_time() -> None:
    old, new = spoken(2)
    data = headers((OPUS, 13_440, len(old))) + old + new
    assert red.repeats(data, OPUS) == [(13_440, old)]
