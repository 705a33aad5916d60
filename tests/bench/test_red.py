import pytest
from hypothesis import given, strategies as st

from bench.load import red

OFFER = (
    "v=0\r\n"
    "m=audio 5000 UDP/TLS/RTP/SAVPF 96 9 0 8\r\n"
    "a=rtpmap:96 opus/48000/2\r\n"
    "a=rtpmap:9 G722/8000\r\n"
    "m=application 5000 UDP/DTLS/SCTP webrtc-datachannel\r\n"
)


@given(st.binary(max_size=1275), st.binary(max_size=1275))
def test_the_newest_block_is_found_again(payload: bytes, previous: bytes) -> None:
    assert red.primary(red.repeat(payload, previous)) == payload


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    assert len(red.primary(data)) <= len(data)


def test_a_repeat_says_how_old_and_how_long_it_is() -> None:
    built = red.repeat(b"new", b"older")
    assert built[0] == 0x80 | red.OPUS_TYPE
    assert int.from_bytes(built[1:4]) == 960 << 10 | len(b"older")
    assert built[4] == red.OPUS_TYPE
    assert built[5:] == b"oldernew"


def test_an_offer_lists_red_behind_opus() -> None:
    offer = red.offered(OFFER)
    assert "SAVPF 96 63 9 0 8\r\n" in offer
    assert "a=fmtp:96 minptime=10;useinbandfec=1\r\n" in offer
    assert "a=fmtp:63 96/96\r\n" in offer
    assert not red.prefers(offer)


def test_an_offer_of_other_numbers_is_not_guessed_at() -> None:
    with pytest.raises(red.NoOpus):
        red.offered(OFFER.replace("96", "111"))


@pytest.mark.parametrize(
    ("types", "wanted", "left"),
    [("63 96", True, "96"), ("96 63", False, "96"), ("96", False, "96")],
)
def test_red_is_sent_only_if_the_answer_lists_it_first(
    types: str, wanted: bool, left: str
) -> None:
    answer = (
        f"m=audio 9 UDP/TLS/RTP/SAVPF {types}\r\n"
        "a=rtpmap:63 red/48000/2\r\na=fmtp:63 96/96\r\na=rtpmap:96 opus/48000/2\r\n"
    )
    assert red.prefers(answer) is wanted
    assert red.without(answer) == (
        f"m=audio 9 UDP/TLS/RTP/SAVPF {left}\r\na=rtpmap:96 opus/48000/2\r\n"
    )
