"""What is taken of a caller's SDP offer, and what of it is left out."""

import re
from typing import Any

from aiortc.sdp import SessionDescription

from proto.messages import MAX_MESSAGE_BYTES

MAX_SECTIONS = 16
"""Media sections an offer may have: each takes aiortc 1 ms, and holds all calls up."""

OPUS_PARAMETERS: dict[str, int | str | None] = {"minptime": 10, "useinbandfec": 1}
"""What we ask the caller's encoder for (RFC 7587 section 6.1); aiortc drops these."""

DEFAULT_EVENT_BYTES = 65_536
"""Largest message of a client that does not say (RFC 8841 section 6.1)."""

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


def opus_only(codecs: list[Any]) -> list[Any]:
    """Return the one codec of aiortc's list that we speak, with our parameters.

    Raises:
        OfferError: It is not there.
    """
    for codec in codecs:
        if codec.mimeType.lower() == "audio/opus":
            codec.parameters = dict(OPUS_PARAMETERS)
            return [codec]
    raise OfferError("the SDP offer's audio section does not offer Opus")
