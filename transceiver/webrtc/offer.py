"""What is taken of a caller's SDP offer, and what of it is left out."""

import re
from typing import Any

from aiortc import RTCRtpCodecParameters
from aiortc.sdp import SessionDescription

from proto.messages import MAX_MESSAGE_BYTES

MAX_SECTIONS = 16
"""Media sections an offer may have: each takes aiortc 1 ms, and holds all calls up."""

OPUS_PARAMETERS: dict[str, int | str | None] = {
    "minptime": 10,
    "useinbandfec": 1,
    "usedtx": 1,
}
"""What we ask the caller's encoder for (RFC 7587 section 6.1); aiortc drops these."""

DEFAULT_EVENT_BYTES = 65_536
"""Largest message of a client that does not say (RFC 8841 section 6.1)."""

PAYLOAD_TYPES = frozenset({*range(64), *range(96, 128)})
"""Those that cannot be taken for RTCP (RFC 5761 section 4)."""

_FIRST_AUDIO = re.compile(r"^m=audio .*?(?=^m=|\Z)", re.MULTILINE | re.DOTALL)
_RED = re.compile(r"^a=rtpmap:(\d{1,3}) red/48000/2\s*$", re.MULTILINE | re.IGNORECASE)
_PARAMETERS = re.compile(r"^a=fmtp:(\d{1,3}) (\S+)\s*$", re.MULTILINE)
_MAX_MESSAGE_SIZE = re.compile(r"^a=max-message-size:\s*(\d{1,15})\s*$", re.MULTILINE)


class OfferError(Exception):
    """The offer cannot be answered; the message says why, for the client to read."""


def usable(offer: str) -> str:
    """Return the offer without candidates, bundle group and SSRCs.

    `MAX_BUNDLE` joins the sections anyway. Told by a group that names none of them, or
    names the first one last, aiortc would join them on no transport, or a stopped one.
    SSRCs are learnt from media; aiortc looks through all of them for each one.

    Raises:
        OfferError: aiortc would start what cannot be ended well.
    """
    dropped = ("a=candidate:", "a=end-of-candidates", "a=group:BUNDLE", "a=ssrc")
    lines = [line for line in offer.splitlines() if not line.startswith(dropped)]
    if sum(line.startswith("m=") for line in lines) > MAX_SECTIONS:
        raise OfferError(f"the SDP offer has more than {MAX_SECTIONS} media sections")
    usable = "\r\n".join([*lines, ""])
    try:
        sections = SessionDescription.parse(usable).media
    except StopIteration:  # in a coroutine nobody could catch it
        raise OfferError("the SDP offer describes a codec that it lacks") from None
    for section in sections:
        if section.dtls is None or not section.dtls.fingerprints:
            raise OfferError("the SDP offer lacks a fingerprint or a setup role")
    return usable


def max_event_bytes(offer: str) -> int:
    """Return the largest event that the offer's data channel takes, in bytes.

    It takes any that the link carries if it says 0 (RFC 8841 section 6.1).
    """
    said = _MAX_MESSAGE_SIZE.search(offer)
    limit = int(said[1]) if said else DEFAULT_EVENT_BYTES
    return min(limit or MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES)


def spoken(codecs: list[Any], offer: str) -> list[Any]:
    """Return what of aiortc's list we speak, Opus, with our parameters; RED before it.

    Chromium sends RED only if the answer lists it first, and understands it in any case
    if it has offered it.

    Raises:
        OfferError: Opus is not there.
    """
    for codec in codecs:
        if codec.mimeType.lower() == "audio/opus":
            codec.parameters = dict(OPUS_PARAMETERS)
            red_type = _red_type(offer, codec.payloadType)
            return [codec] if red_type is None else [_red(red_type, codec), codec]
    raise OfferError("the SDP offer's audio section does not offer Opus")


def _red_type(offer: str, opus_type: int) -> int | None:
    """Return the payload type of RED that repeats Opus alone (RFC 2198 section 5).

    Not Opus's own, or media would read as RED what nobody has found to be whole.
    """
    found = _FIRST_AUDIO.search(offer)
    section = found[0] if found else ""
    listed = section.partition("\n")[0].split()[3:]
    parameters = dict(_PARAMETERS.findall(section))
    for number in _RED.findall(section):
        levels = parameters.get(number, "").split("/")
        repeats_opus = len(levels) > 1 and set(levels) == {str(opus_type)}
        is_free = int(number) in PAYLOAD_TYPES and int(number) != opus_type
        if repeats_opus and number in listed and is_free:
            return int(number)
    return None


def _red(red_type: int, opus: Any) -> RTCRtpCodecParameters:
    return RTCRtpCodecParameters(
        mimeType="audio/red",
        clockRate=opus.clockRate,
        channels=opus.channels,
        payloadType=red_type,
        parameters={f"{opus.payloadType}/{opus.payloadType}": None},
    )
