"""What an offer says of its data channel."""

import pytest

from proto.messages import MAX_MESSAGE_BYTES
from transceiver.webrtc.offer import max_event_bytes

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
