"""What either end of a leg tells the other of its packets: RTCP, both ways. Pure.

    ours      what came of the caller's stream, and our clock; every 1 to 2 s
    theirs    what came of ours ► round trip ► how far the caller has heard
                                ► `adaptation`

SRTP, the alarm, and what `adaptation` makes of it, are the business of `media`.
"""

from collections.abc import Callable

from transceiver import rtcp
from transceiver.adaptation import Adaptation
from transceiver.errors import MalformedPacket
from transceiver.packetizer import Packetizer
from transceiver.playout import Playout
from transceiver.rtcp import Reception, ReportBlock

INTERVAL_S = (1.0, 2.0)
"""Drawn evenly for each report, so that those of many calls do not come in step."""

SENDING_S = 2 * INTERVAL_S[1]
"""Having sent within two intervals makes a sender (RFC 3550 section 6.4)."""

RTT_SMOOTHING = 1 / 8
"""Share of a new measurement in the round-trip time (as RFC 6298 section 2)."""


class Reports:
    """One leg's reports.

    Args:
        source: Our stream's SSRC and CNAME, as in the answer.
        packetizer: Knows what was sent.
        playout: Knows what was heard of it, if told how far away the caller is.
        adaptation: Is told what the path is like.
        draw: Returns a random number between two, evenly.
        now: Seconds.

    Attributes:
        due_at: When the next is to be sent, seconds.
        malformed: Of the caller's; dropped.
        rtt_s: Round-trip time to the caller, smoothed; None until it reports.
    """

    __slots__ = (
        "_adaptation",
        "_cname",
        "_draw",
        "_packetizer",
        "_playout",
        "_ssrc",
        "due_at",
        "malformed",
        "rtt_s",
    )

    def __init__(
        self,
        source: tuple[int, str],
        packetizer: Packetizer,
        playout: Playout,
        adaptation: Adaptation,
        draw: Callable[[float, float], float],
        now: float,
    ) -> None:
        self._ssrc, self._cname = source
        self._packetizer = packetizer
        self._playout = playout
        self._adaptation = adaptation
        self._draw = draw
        self.due_at = now + draw(*INTERVAL_S) / 2
        self.malformed = 0
        self.rtt_s: float | None = None

    def build(
        self, reception: Reception | None, now: float, *, leaving: bool = False
    ) -> bytes:
        """Return what to say now of the caller's stream, if there is one, and of ours.

        Args:
            reception: Of the caller's stream.
            now: Seconds.
            leaving: It is the last: we say goodbye.
        """
        self.due_at = now + self._draw(*INTERVAL_S)
        report = rtcp.build_report(
            self._packetizer.sender_info(now),
            self._cname,
            None if reception is None else reception.report(now),
            sending=now - self._packetizer.sent_at < SENDING_S,
        )
        return report + rtcp.build_goodbye(self._ssrc) if leaving else report

    def take(
        self, report: bytes, reception: Reception | None, now: float
    ) -> float | None:
        """Take what the caller says of our stream and of its own.

        Returns:
            What it had got and is not taken to have heard, seconds; None: not known.
        """
        try:
            feedback = rtcp.parse(report)
        except MalformedPacket:
            self.malformed += 1
            return None
        sender = feedback.sender
        if reception and sender and sender.ssrc == reception.ssrc:
            reception.sender_reported(sender, now)
        own = [block for block in feedback.blocks if block.ssrc == self._ssrc]
        unheard_s = None
        if own:  # loss since the report before: two at a time are no loss more
            unheard_s = self._reported(own[-1], now)
        if feedback.estimate_bps is not None:
            self._adaptation.estimated(feedback.estimate_bps, now)
        return unheard_s

    def _reported(self, block: ReportBlock, now: float) -> float | None:
        rtt_s = rtcp.round_trip_s(block, now)
        self._adaptation.reported(block, rtt_s, now)
        if rtt_s is None:
            return None
        if self.rtt_s is None:
            self.rtt_s = rtt_s
        self.rtt_s += (rtt_s - self.rtt_s) * RTT_SMOOTHING
        self._playout.under_way_s = self.rtt_s / 2
        behind = self._packetizer.newest - block.highest_sequence & 0xFFFF
        return self._playout.unheard_s(behind, now - rtt_s / 2)
