"""RTP packets and sequence numbers (RFC 3550). Pure.

Knows the fixed header and what may lie between it and the payload; nothing of codecs.
"""

import struct
from typing import NamedTuple

from proto.frames import SAMPLE_RATE_HZ, new_tuple
from transceiver.errors import MalformedPacket

CLOCK_HZ = 48_000
"""RTP clock of Opus, whatever it is sampled at (RFC 7587 section 4.1)."""

TICKS_PER_SAMPLE = CLOCK_HZ // SAMPLE_RATE_HZ
"""Ticks of that clock in a sample of ours."""

HEADER = struct.Struct("!BBHII")
HEADER_BYTES = HEADER.size
VERSION_BITS = 0x80
PADDING, EXTENSION, MARKER = 0x20, 0x10, 0x80


class RtpPacket(NamedTuple):
    """One RTP packet without its padding.

    Attributes:
        timestamp: In ticks of the payload's clock, modulo 2**32.
        sequence: Modulo 2**16.
    """

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def parse(data: bytes) -> RtpPacket:
    """Read a packet; header extensions (RFC 8285, both forms) and CSRCs are skipped.

    Raises:
        MalformedPacket: Not RTP version 2, or shorter than it says.
    """
    size = len(data)
    if size < HEADER_BYTES:
        raise MalformedPacket("RTP header cut off")
    first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
    if first & 0xC0 != VERSION_BITS:
        raise MalformedPacket("not RTP version 2")
    if first == VERSION_BITS:  # neither of these, as from every browser here
        payload = data[HEADER_BYTES:]
        return new_tuple(RtpPacket, (second & 0x7F, sequence, timestamp, ssrc, payload))
    start = HEADER_BYTES + 4 * (first & 0x0F)
    if first & EXTENSION:
        start += 4
        if start > size:
            raise MalformedPacket("RTP header extension cut off")
        start += 4 * int.from_bytes(data[start - 2 : start])
    end = size
    if first & PADDING:
        padding = data[-1]
        if padding == 0:
            raise MalformedPacket("RTP padding of no length")
        end -= padding
    if start > end:
        raise MalformedPacket("RTP header or padding longer than the packet")
    return RtpPacket(second & 0x7F, sequence, timestamp, ssrc, data[start:end])


def build_header(
    payload_type: int, sequence: int, timestamp: int, ssrc: int, *, marker: bool
) -> bytes:
    """Build the 12-byte header; numbers are taken modulo their width."""
    return HEADER.pack(
        VERSION_BITS,
        payload_type | (MARKER if marker else 0),
        sequence & 0xFFFF,
        timestamp & 0xFFFF_FFFF,
        ssrc,
    )


def signed_distance(later: int, earlier: int, bits: int) -> int:
    """Return `later - earlier` on a circle of 2**bits: the shorter way round."""
    half = 1 << (bits - 1)
    return ((later - earlier + half) & ((1 << bits) - 1)) - half


class SequenceExtender:
    """Extends sequence numbers over their wrap: nearest to the highest seen.

    Attributes:
        highest: The highest extended number seen; starts in the first cycle.
    """

    __slots__ = ("highest",)

    def __init__(self, first: int) -> None:
        self.highest = first

    def extend(self, sequence: int) -> int:
        """Return the extended number; below 0 only just before the first packet."""
        highest = self.highest
        extended = highest + ((sequence - highest + 0x8000) & 0xFFFF) - 0x8000
        if extended > highest:
            self.highest = extended
        return extended
