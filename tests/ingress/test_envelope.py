"""A label names a client, and only holders of the link key can make one."""

from hypothesis import given, strategies as st

from transceiver.ingress.endpoint import pack
from transceiver.ingress.envelope import LABEL_BYTES, Labels

OLD, NEW = bytes(32), bytes(range(32))
CLIENT = ("198.51.100.7", 40_000)

LABELS = Labels(NEW)


def test_a_label_names_its_client() -> None:
    label = LABELS.make(CLIENT)
    assert len(label) == LABEL_BYTES
    assert LABELS.read(label) == pack(CLIENT)


def test_no_datagram_of_webrtc_begins_like_a_label() -> None:
    assert LABELS.make(CLIENT)[0] >= 192  # RFC 7983 section 7 ends at 191


def test_both_keys_are_accepted_while_they_are_changed() -> None:
    label = Labels(OLD).make(CLIENT)
    assert Labels(NEW, OLD).read(label) == pack(CLIENT)
    assert Labels(NEW).read(label) is None


@given(st.integers(0, LABEL_BYTES - 1), st.integers(1, 255))
def test_a_changed_byte_makes_it_worthless(place: int, change: int) -> None:
    label = bytearray(LABELS.make(CLIENT))
    label[place] ^= change
    assert LABELS.read(bytes(label)) is None


@given(st.binary(max_size=40))
def test_any_bytes_are_a_label_or_none(data: bytes) -> None:
    assert LABELS.read(data) is None
