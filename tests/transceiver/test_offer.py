"""What an offer says of its data channel, and of its codecs."""

import pytest
from aiortc import RTCRtpCodecParameters

from proto.messages import MAX_MESSAGE_BYTES
from transceiver.webrtc.offer import OfferError, max_event_bytes, spoken, usable

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


def codec(name: str, number: int) -> RTCRtpCodecParameters:
    return RTCRtpCodecParameters(
        mimeType=f"audio/{name}", clockRate=48_000, channels=2, payloadType=number
    )


def audio(types: str, *lines: str) -> str:
    attributes = "".join(f"a={line}\r\n" for line in lines)
    return f"v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF {types}\r\n{attributes}"


RED = "rtpmap:63 red/48000/2", "fmtp:63 111/111"
OPUS = "rtpmap:111 opus/48000/2"


@pytest.mark.parametrize("end", ["", "m=video 9 UDP/TLS/RTP/SAVPF 120\r\na=mid:1\r\n"])
def test_red_that_is_offered_as_chromium_does_is_answered_before_opus(end: str) -> None:
    offer = audio("111 63 9", OPUS, *RED) + end
    for said in (offer, offer.replace("\r\n", "\n")):
        red, opus = spoken([codec("opus", 111)], said)
        assert (red.mimeType, red.payloadType) == ("audio/red", 63)
        assert red.parameters == {"111/111": None}
        assert opus.payloadType == 111


@pytest.mark.parametrize(
    "offer",
    [
        audio("109 9 0 8 101", "rtpmap:109 opus/48000/2"),
        audio("111 63", OPUS, "rtpmap:63 red/48000/2"),
        audio("111 63", OPUS, "rtpmap:63 red/48000/2", "fmtp:63 111"),
        audio("111 63", OPUS, "rtpmap:63 red/48000/2", "fmtp:63 111/0"),
        audio("111 63", OPUS, "rtpmap:63 red/8000", "fmtp:63 111/111"),
        audio("111", OPUS, *RED),
        audio("111 72", OPUS, "rtpmap:72 red/48000/2", "fmtp:72 111/111"),
        audio("111", OPUS, "rtpmap:111 red/48000/2", "fmtp:111 111/111"),
        audio("111", OPUS) + "m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\na=" + RED[0],
        "",
    ],
    ids=[
        *("firefox", "no levels", "one level", "other codecs", "other clock"),
        *("not listed", "like RTCP", "Opus's own type", "another section", "nothing"),
    ],
)
def test_without_red_that_can_be_used_opus_is_answered_alone(offer: str) -> None:
    (opus,) = spoken([codec("PCMU", 0), codec("opus", 111)], offer)
    assert opus.payloadType == 111
    assert opus.parameters["useinbandfec"] == 1


def test_an_offer_without_opus_is_refused() -> None:
    with pytest.raises(OfferError, match="Opus"):
        spoken([codec("PCMU", 0)], audio("0"))
