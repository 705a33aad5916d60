"""What a caller's reports make of its plan in the course of a call. Pure.

Loss is answered by protection: in-band FEC is told of it, and RED is sent from a
plan's thresholds on, until some time after the loss has gone below them. A voice
without FEC is repeated once until the first report, too, as nobody knows its path. What
the path has no room for is answered by bits, those of RED first. Room shrinks and grows
as in the loss-based controller of Google Congestion Control (draft-ietf-rmcat-gcc-02
section 6), but for one thing: there 10 % of loss is congestion, here only if the round
trip has grown with it, or at 25 %. Random loss must not cost the RED that repairs it.
What reports tell of a few packets, as they do where hardly anything was said, is added
up until it is enough to judge by.
"""

import math
from typing import NamedTuple

from transceiver.profile import Plan
from transceiver.rtcp import ReportBlock
from transceiver.rtp import signed_distance

JUDGED_PACKETS = 20
"""Fewest packets that loss is judged by (libwebrtc's send-side estimate: the same): one
lost of three is nothing that a path could be known by."""

ESTIMATE_S = 25.0
"""How long an estimate holds that is not renewed: five of RTCP's intervals of 5 s, as
who has said nothing for so long counts as gone (RFC 3550 sections 6.2 and 6.3.5);
libwebrtc holds a TMMBR as long. Who sends REMB renews it each second or faster."""

FEC_PERCENT = (5, 30)
"""Least and most loss an encoder with FEC is told: none would switch the repeats off
until the first report of loss; more than the most costs voice and saves little."""

LOSS_SMOOTHING = (0.5, 0.2)
"""Share of a new report in the expected loss when it is worse, when it is better."""

HOLD_S = 15.0
"""How long RED outlives the loss: three reports of a browser that sends audio only."""

PACKETS_HZ = 50
HEADER_BYTES = 57
"""RTP, SRTP's tag, UDP and IP of each packet."""

REPEAT_BYTES = 5
"""RED's headers, about, for each repeat."""

CONGESTED_PERCENT = 10.0
CONGESTED_RTT_S = 0.1
"""Loss that means congestion if the round trip is so much longer than the shortest."""

STARVING_PERCENT = 25.0
"""Loss that means it in any case."""

RECOVERY = 1.05
"""Growth of the room in a second without congestion."""

LONGEST_STEP_S = 5.0
"""Most time between two reports that room grows for."""


class Tuning(NamedTuple):
    """What the sender is to do.

    Attributes:
        expected_loss_percent: For the encoder.
        bitrate_bps: Of the encoder.
        repeats: Earlier packets in each one sent, as RED.
        complexity: Of the encoder.
    """

    expected_loss_percent: int
    bitrate_bps: int
    repeats: int
    complexity: int


class Adaptation:
    """One call's plan, and what has been made of it.

    Args:
        plan: To begin with.
        first_sequence: Of our packets.

    Attributes:
        loss_percent: Of our packets, as the caller reports it, smoothed.
        estimate_bps: What the caller thinks it can receive (REMB); None: not said, or
            not for long.
        is_eased: The encoder is to take as little CPU as it can.
    """

    def __init__(self, plan: Plan, first_sequence: int) -> None:
        self.loss_percent = 0.0
        self.estimate_bps: int | None = None
        self.is_eased = False
        self._plan = plan
        most_repeats = len(plan.red_percents)
        self._most_bps = wire_bps(plan.encoding.bitrate_bps, most_repeats)
        self._room_bps = self._most_bps
        self._until = [-math.inf] * most_repeats
        if most_repeats and not plan.encoding.has_fec:
            self._until[0] = math.inf
        self._least_rtt_s = math.inf
        self._reported_at: float | None = None
        self._estimated_at = -math.inf
        self._highest = first_sequence - 1
        self._packets = 0
        self._lost = 0.0

    def reported(self, block: ReportBlock, rtt_s: float | None, now: float) -> None:
        """Take what a receiver report tells of our packets since the one before."""
        sent_bps = self._sent_bps(now)
        if now - self._estimated_at > ESTIMATE_S:
            self.estimate_bps = None
        is_slow = self._is_slow(rtt_s)
        loss_percent = self._judged_percent(block)
        if loss_percent is not None:
            self._protect(loss_percent, now)
        if loss_percent is not None and _is_congested(loss_percent, is_slow=is_slow):
            self._room_bps = min(self._room_bps, sent_bps) * (1 - loss_percent / 200)
        elif self._reported_at is not None:
            grown_s = min(now - self._reported_at, LONGEST_STEP_S)
            self._room_bps *= RECOVERY**grown_s
        self._reported_at = now
        self._bound_room()

    def estimated(self, estimate_bps: int, now: float) -> None:
        """Take what the caller thinks it can receive (REMB)."""
        self.estimate_bps, self._estimated_at = estimate_bps, now
        self._bound_room()

    def tuning(self, now: float) -> Tuning:
        """Return what the sender is to do."""
        encoding, room_bps = self._plan.encoding, self._room_bps
        repeats = sum(until > now for until in self._until)
        while repeats and wire_bps(encoding.bitrate_bps, repeats) > room_bps:
            repeats -= 1
        bitrate_bps = encoding.bitrate_bps
        if not repeats:
            left_bps = int(room_bps - wire_bps(0, 0)) // 1000 * 1000
            bitrate_bps = min(max(left_bps, self._plan.least_bps), bitrate_bps)
        return Tuning(
            self._expected_loss_percent(),
            bitrate_bps,
            repeats,
            0 if self.is_eased else encoding.complexity,
        )

    def _judged_percent(self, block: ReportBlock) -> float | None:
        """Return the loss of late; None: too few packets to tell."""
        packets = max(signed_distance(block.highest_sequence, self._highest, 32), 0)
        self._highest = block.highest_sequence
        self._packets += packets
        self._lost += packets * block.fraction_lost / 256
        if self._packets < JUDGED_PACKETS:
            return None
        loss_percent = 100 * self._lost / self._packets
        self._packets, self._lost = 0, 0.0
        return loss_percent

    def _protect(self, loss_percent: float, now: float) -> None:
        difference = loss_percent - self.loss_percent
        self.loss_percent += difference * LOSS_SMOOTHING[difference < 0]
        for repeats, threshold in enumerate(self._plan.red_percents):
            if self.loss_percent >= threshold:
                self._until[repeats] = now + HOLD_S
            elif self._until[repeats] == math.inf:
                self._until[repeats] = now

    def _is_slow(self, rtt_s: float | None) -> bool:
        if rtt_s is None:
            return False
        self._least_rtt_s = min(self._least_rtt_s, rtt_s)
        return rtt_s - self._least_rtt_s >= CONGESTED_RTT_S

    def _bound_room(self) -> None:
        most_bps = self._most_bps
        if self.estimate_bps is not None:
            most_bps = min(most_bps, self.estimate_bps)
        least_bps = wire_bps(self._plan.least_bps, 0)
        self._room_bps = max(min(self._room_bps, most_bps), least_bps)

    def _sent_bps(self, now: float) -> float:
        tuning = self.tuning(now)
        return wire_bps(tuning.bitrate_bps, tuning.repeats)

    def _expected_loss_percent(self) -> int:
        if not self._plan.encoding.has_fec:
            return 0  # low delay does not heed it
        least, most = FEC_PERCENT
        return min(max(round(self.loss_percent), least), most)


def _is_congested(loss_percent: float, *, is_slow: bool) -> bool:
    return loss_percent >= (CONGESTED_PERCENT if is_slow else STARVING_PERCENT)


def wire_bps(bitrate_bps: int, repeats: int) -> float:
    """Return what a voice takes on the wire, headers and repeats included."""
    overhead_bytes = HEADER_BYTES + REPEAT_BYTES * repeats
    return bitrate_bps * (1 + repeats) + 8 * PACKETS_HZ * overhead_bytes
