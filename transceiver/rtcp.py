"""RTCP: reports read and written, and the figures in them (RFC 3550 section 6). Pure.

Reads sender and receiver reports, BYE and REMB out of compound packets and passes over
the rest. The NTP time in our sender reports is a monotonic clock, which section 6.4.1
allows: nobody synchronises our one stream with another.
"""

import struct
from typing import NamedTuple

from transceiver.errors import MalformedPacket
from transceiver.rtp import signed_distance

SENDER_REPORT, RECEIVER_REPORT, DESCRIPTION, GOODBYE = 200, 201, 202, 203
PAYLOAD_FEEDBACK = 206
"""Packet types (RFC 3550 section 12.1, RFC 4585 section 6.1)."""

APPLICATION_LAYER_FEEDBACK = 15
"""Feedback message type that REMB uses (draft-alvestrand-rmcat-remb-03)."""

CNAME = 1
HEADER = struct.Struct("!BBH")
SENDER_INFO = struct.Struct("!IQIII")
BLOCK = struct.Struct("!IIIIII")
U32 = struct.Struct("!I")
NTP_SHORT_HZ = 65_536
HALF = 1 << 31
"""Of the circle of RTP timestamps."""

MAX_ROUND_TRIP_S = 10.0
"""Longer than any path on which one could speak: the echo is of no report of ours."""


class ReportBlock(NamedTuple):
    """What one end received of the other's stream (RFC 3550 section 6.4.1).

    Attributes:
        fraction_lost: Since the last report, in 256ths.
        lost: Since the beginning; negative with duplicates.
        jitter: Ticks of the RTP clock.
        last_report: Middle 32 bits of the NTP time of the last sender report; 0: none.
        delay: Since that report, in 65,536ths of a second.
    """

    ssrc: int
    fraction_lost: int
    lost: int
    highest_sequence: int
    jitter: int
    last_report: int
    delay: int


class SenderInfo(NamedTuple):
    """A sender's clock and counts."""

    ssrc: int
    ntp: int
    timestamp: int
    packets: int
    octets: int


class Feedback(NamedTuple):
    """What a compound packet said.

    Attributes:
        sender: From its last sender report, if any.
        blocks: Of all its reports.
        leaving: SSRCs that said goodbye.
        estimate_bps: Bitrate the receiver thinks it can take (REMB), if said.
    """

    sender: SenderInfo | None
    blocks: list[ReportBlock]
    leaving: list[int]
    estimate_bps: int | None


def parse(data: bytes) -> Feedback:
    """Read a compound packet; types not known here are passed over.

    Raises:
        MalformedPacket: Not RTCP version 2, or shorter than it says.
    """
    sender: SenderInfo | None = None
    blocks: list[ReportBlock] = []
    leaving: list[int] = []
    estimate_bps: int | None = None
    start = 0
    try:
        while start < len(data):
            first, kind, words = HEADER.unpack_from(data, start)
            end = start + 4 + 4 * words
            if first & 0xC0 != 0x80 or end > len(data):
                raise MalformedPacket("not RTCP version 2, or cut off")
            body, count = data[start + 4 : end], first & 0x1F
            if kind == SENDER_REPORT:
                sender = SenderInfo(*SENDER_INFO.unpack_from(body))
                blocks += _blocks(body, SENDER_INFO.size, count)
            elif kind == RECEIVER_REPORT:
                blocks += _blocks(body, 4, count)
            elif kind == GOODBYE:
                leaving += struct.unpack_from(f"!{count}I", body)
            elif kind == PAYLOAD_FEEDBACK and count == APPLICATION_LAYER_FEEDBACK:
                estimate_bps = _estimate(body) or estimate_bps
            start = end
    except struct.error as error:
        raise MalformedPacket("RTCP packet shorter than it says") from error
    return Feedback(sender, blocks, leaving, estimate_bps)


def build_report(
    sender: SenderInfo, cname: str, block: ReportBlock | None, *, sending: bool
) -> bytes:
    """Build a sender report, or a receiver report, with our CNAME."""
    count = 0 if block is None else 1
    if sending:
        report, kind = SENDER_INFO.pack(*sender), SENDER_REPORT
    else:
        report, kind = U32.pack(sender.ssrc), RECEIVER_REPORT
    if block is not None:
        report += _pack_block(block)
    return _packet(count, kind, report) + _description(sender.ssrc, cname)


def build_goodbye(ssrc: int) -> bytes:
    """Build a BYE; it goes behind a report (RFC 3550 section 6.1)."""
    return _packet(1, GOODBYE, U32.pack(ssrc))


def ntp(now: float) -> int:
    """Return seconds as 64-bit NTP time."""
    return int(now * (1 << 32)) & 0xFFFF_FFFF_FFFF_FFFF


def ntp_short(now: float) -> int:
    """Return the middle 32 bits of NTP time, as reports echo it."""
    return ntp(now) >> 16 & 0xFFFF_FFFF


def round_trip_s(block: ReportBlock, now: float) -> float | None:
    """Return the round-trip time a report block tells of us, if it does.

    Its `last_report` is one of ours; RFC 3550 section 6.4.1, figure 2. What cannot be
    is not told: one such figure would be in the smoothed one for minutes.
    """
    if block.last_report == 0:
        return None
    ticks = signed_distance(ntp_short(now), block.last_report + block.delay, 32)
    rtt_s = ticks / NTP_SHORT_HZ
    return rtt_s if 0 <= rtt_s <= MAX_ROUND_TRIP_S else None


class Reception:
    """What was received of one stream, as receiver reports say it.

    Every packet counts, duplicates and what was too late for us included: the caller is
    to know what its path does, not what we made of it.
    """

    __slots__ = (
        "_clock_hz",
        "_expected_before",
        "_first",
        "_highest",
        "_jitter",
        "_last_report",
        "_last_report_at",
        "_received",
        "_received_before",
        "_transit",
        "ssrc",
    )

    def __init__(self, ssrc: int, first: int, clock_hz: int) -> None:
        """Begin with the first packet's extended sequence number."""
        self.ssrc = ssrc
        self._clock_hz = clock_hz
        self._first = self._highest = first
        self._received = self._received_before = self._expected_before = 0
        self._transit: float | None = None
        self._jitter = 0.0
        self._last_report = 0
        self._last_report_at = 0.0

    def received(self, sequence: int, timestamp: int, now: float) -> None:
        """Count a packet; jitter as in RFC 3550 appendix A.8."""
        self._received += 1
        if sequence > self._highest:
            self._highest = sequence
        transit = now * self._clock_hz - timestamp
        if self._transit is not None:
            difference = abs(transit - self._transit)
            if difference >= HALF:  # over the wrap of a timestamp
                difference = abs(signed_distance(int(difference), 0, 32))
            self._jitter += (difference - self._jitter) / 16
        self._transit = transit

    def sender_reported(self, sender: SenderInfo, now: float) -> None:
        """Remember the sender's clock, for it to measure the round trip."""
        self._last_report = sender.ntp >> 16 & 0xFFFF_FFFF
        self._last_report_at = now

    def report(self, now: float) -> ReportBlock:
        """Close the interval and report on it (RFC 3550 appendix A.3)."""
        expected = self._highest - self._first + 1
        lost = expected - self._received
        expected_now = expected - self._expected_before
        lost_now = expected_now - (self._received - self._received_before)
        self._expected_before, self._received_before = expected, self._received
        fraction = (lost_now << 8) // expected_now if expected_now > 0 else 0
        delay_s = now - self._last_report_at if self._last_report else 0.0
        return ReportBlock(
            ssrc=self.ssrc,
            fraction_lost=min(max(fraction, 0), 255),
            lost=min(max(lost, -0x80_0000), 0x7F_FFFF),
            highest_sequence=self._highest & 0xFFFF_FFFF,
            jitter=min(int(self._jitter), 0xFFFF_FFFF),
            last_report=self._last_report,
            delay=min(int(delay_s * NTP_SHORT_HZ), 0xFFFF_FFFF),
        )


def _blocks(body: bytes, start: int, count: int) -> list[ReportBlock]:
    blocks = []
    for offset in range(start, start + count * BLOCK.size, BLOCK.size):
        ssrc, losses, highest, jitter, last, delay = BLOCK.unpack_from(body, offset)
        lost = signed_distance(losses & 0xFF_FFFF, 0, 24)
        blocks.append(
            ReportBlock(ssrc, losses >> 24, lost, highest, jitter, last, delay)
        )
    return blocks


def _pack_block(block: ReportBlock) -> bytes:
    return BLOCK.pack(
        block.ssrc,
        block.fraction_lost << 24 | block.lost & 0xFF_FFFF,
        block.highest_sequence,
        block.jitter,
        block.last_report,
        block.delay,
    )


def _estimate(body: bytes) -> int | None:
    """Read REMB: `REMB`, a count of SSRCs, 6 bits of exponent, 18 of mantissa."""
    if body[8:12] != b"REMB":
        return None
    (packed,) = U32.unpack_from(body, 12)
    return int((packed & 0x3_FFFF) << (packed >> 18 & 0x3F))


def _packet(count: int, kind: int, body: bytes) -> bytes:
    return HEADER.pack(0x80 | count, kind, len(body) // 4) + body


def _description(ssrc: int, cname: str) -> bytes:
    text = cname.encode()[:255]
    chunk = U32.pack(ssrc) + bytes((CNAME, len(text))) + text
    chunk += bytes(4 - len(chunk) % 4)  # ends with 1 to 4 zeros (section 6.5)
    return _packet(1, DESCRIPTION, chunk)
