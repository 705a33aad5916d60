"""What an offer says of its data channel."""

import pytest

from proto.messages import MAX_MESSAGE_BYTES
from transceiver.webrtc.offer import OfferError, max_event_bytes, usable

CHANNEL = "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n"


@pytest.mark.parametrize(
    ("line", "most_bytes"),
    [
        ("", 65_536),
        ("a=max-message-size:1200\r\n", 1_200),
        ("a=max-message-size:262144\r\n", 262_144),
        ("a=max-message-size:1073741823\r\n", MAX_MESSAGE_BYTES),
        ("a=max-message-size:0\r\n", MAX_MESSAGE_BYTES),
        ("a=max-message-size:\r\n", 65_536),
    ],
)
def test_the_largest_event_is_the_clients_or_the_links(
    line: str, most_bytes: int
) -> None:
    assert max_event_bytes(CHANNEL + line) == most_bytes
    assert max_event_bytes((CHANNEL + line).replace("\r\n", "\n")) == most_bytes


def test_a_parameter_of_a_codec_that_is_not_there_is_refused() -> None:
    section = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=fmtp:96 x=1\r\n"
    with pytest.raises(OfferError, match="codec"):
        usable("v=0\r\n" + section)
