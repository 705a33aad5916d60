"""Messages out of frames: whole, in order, and never more than is held."""

import pytest
from hypothesis import given, strategies as st

from relay.upstream.fragments import Fragments
from relay.upstream.port import UpstreamLost

MAX_BYTES = 100


def parts_of(text: bytes, cuts: list[int]) -> list[bytes]:
    ends = [*sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


@given(
    st.lists(
        st.tuples(st.binary(max_size=MAX_BYTES), st.lists(st.integers(0, MAX_BYTES)))
    )
)
def test_messages_are_put_together_however_they_are_cut(
    messages: list[tuple[bytes, list[int]]],
) -> None:
    fragments = Fragments(MAX_BYTES)
    for text, cuts in messages:
        *parts, last = parts_of(text, cuts)
        for number, part in enumerate(parts):
            assert fragments.take(part, is_first=number == 0, is_last=False) is None
            assert fragments.is_waiting
        assert fragments.take(last, is_first=not parts, is_last=True) == text
        assert not fragments.is_waiting


@given(st.lists(st.binary(max_size=MAX_BYTES), min_size=1))
def test_no_more_is_held_than_a_message_may_have(parts: list[bytes]) -> None:
    fragments, held_bytes = Fragments(MAX_BYTES), 0
    for number, part in enumerate(parts):
        held_bytes += len(part)
        if held_bytes > MAX_BYTES:
            with pytest.raises(UpstreamLost, match="over 100 bytes"):
                fragments.take(part, is_first=number == 0, is_last=False)
            return
        fragments.take(part, is_first=number == 0, is_last=False)


def test_a_message_can_neither_begin_twice_nor_go_on_unbegun() -> None:
    fragments = Fragments(MAX_BYTES)
    with pytest.raises(UpstreamLost, match="broke WebSocket"):
        fragments.take(b"x", is_first=False, is_last=True)
    fragments.take(b"x", is_first=True, is_last=False)
    with pytest.raises(UpstreamLost, match="broke WebSocket"):
        fragments.take(b"x", is_first=True, is_last=False)
