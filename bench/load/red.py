"""Redundant audio (RFC 2198): each packet repeats the one before. Pure.

Offered as Chromium does; sent if the answer prefers it, understood in any case.
"""

import re

OPUS_TYPE = 96
"""The payload type that aiortc gives Opus in an offer."""

RED_TYPE = 63
"""As Chromium has it."""

FRAME_TICKS = 960
MAX_BLOCK_BYTES = 1023
"""What the 10 bits of a block's length can say."""

FOLLOWS = 0x80
"""In the first byte of a block's header: another one follows."""


class NoOpus(Exception):  # noqa: N818  # reads as what happened
    """The offer has no Opus where aiortc puts it."""


def repeat(payload: bytes, previous: bytes) -> bytes:
    """Return a payload with the one before it, 20 ms earlier."""
    if len(previous) > MAX_BLOCK_BYTES:
        return bytes((OPUS_TYPE,)) + payload
    header = FRAME_TICKS << 10 | len(previous)
    return (
        bytes((FOLLOWS | OPUS_TYPE,))
        + header.to_bytes(3)
        + bytes((OPUS_TYPE,))
        + previous
        + payload
    )


def primary(data: bytes) -> bytes:
    """Return the newest block of a payload; nothing if it is cut off."""
    start, skipped = 0, 0
    while start < len(data) and data[start] & FOLLOWS:
        skipped += int.from_bytes(data[start + 2 : start + 4]) & MAX_BLOCK_BYTES
        start += 4
    return data[start + 1 + skipped :]


def offered(sdp: str) -> str:
    """Return an offer of aiortc's with in-band FEC and RED, as Chromium offers them.

    Raises:
        NoOpus: The library has changed its numbers.
    """
    rtpmap = f"a=rtpmap:{OPUS_TYPE} opus/48000/2\r\n"
    if rtpmap not in sdp:
        raise NoOpus(f"payload type {OPUS_TYPE} is not Opus")
    sdp = re.sub(rf"(m=audio \d+ \S+ {OPUS_TYPE})\b", rf"\1 {RED_TYPE}", sdp)
    sdp = re.sub(rf"a=fmtp:{OPUS_TYPE} .*\r\n", "", sdp)
    added = (
        f"{rtpmap}a=fmtp:{OPUS_TYPE} minptime=10;useinbandfec=1\r\n"
        f"a=rtpmap:{RED_TYPE} red/48000/2\r\n"
        f"a=fmtp:{RED_TYPE} {OPUS_TYPE}/{OPUS_TYPE}\r\n"
    )
    return sdp.replace(rtpmap, added)


def prefers(answer: str) -> bool:
    """Tell whether an answer wants RED: lists it before Opus."""
    return (
        re.search(rf"^m=audio \d+ \S+ {RED_TYPE}\b", answer, re.MULTILINE) is not None
    )


def without(answer: str) -> str:
    """Return the answer without RED, which aiortc does not know."""
    answer = re.sub(rf"^(m=audio .*?) {RED_TYPE}\b", r"\1", answer, flags=re.MULTILINE)
    return re.sub(rf"a=(rtpmap|fmtp|rtcp-fb):{RED_TYPE} .*\r?\n", "", answer)
