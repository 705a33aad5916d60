"""HOT PATH. The media of one leg: decrypted nowhere else, delayed nowhere but by need.

    uplink     datagram ► SRTP ► RED ► reorder ► voice (decode, conceal) ► UpFrame
    downlink   DownFrame ► playout ► packetizer (encode) ► RED ► SRTP ► datagram
    reports    SRTCP both ways, every 1 to 2 s; the caller's tune encoder and RED

What the link carries is agreed for each session; `sound` says what that entails. Over a
link of Opus voice and packetizer pass packets on as they came.

All of it happens in the callback that brings the datagram or the frame, or in that of
the timer all calls share: no task, queue, thread, future or log line. What is hostile
or broken is counted and dropped, and never raises into the loop.
"""

import random
from collections.abc import Callable
from typing import NamedTuple

from pylibsrtp import Session

from proto.frames import DownFrame, UpFrame, new_tuple
from proto.payload import Payload
from transceiver import laneless, red, rtcp, rtp
from transceiver.adaptation import Adaptation, Tuning
from transceiver.errors import MalformedPacket
from transceiver.packetizer import Packetizer
from transceiver.playout import Playout
from transceiver.profile import Profile, plan
from transceiver.reorder import ReorderWindow
from transceiver.rtcp import ReportBlock
from transceiver.rtp import RtpPacket
from transceiver.sight import Sight
from transceiver.sound import SOUNDS
from transceiver.srtp import SrtpReceiver, SrtpSender
from transceiver.stream import Stream
from transceiver.timer import SharedTimer

try:
    from transceiver.lane import DownLane, UpLane
except ImportError:  # not compiled
    from transceiver.laneless import DownLane, UpLane

HAS_LANES = DownLane is not laneless.DownLane
"""What is usual goes through compiled code."""

RTCP_TYPES = frozenset(bytes((kind,)) for kind in range(192, 224))
"""Second bytes of RTCP, that RTP does not use beside it (RFC 5761 section 4)."""

REPORT_INTERVAL_S = (1.0, 2.0)
"""Drawn evenly for each report, so that those of many calls do not come in step."""

SENDING_S = 2 * REPORT_INTERVAL_S[1]
"""Having sent within two intervals makes a sender (RFC 3550 section 6.4)."""

STREAM_QUIET_S = 1.0
"""Silence after which a caller may return to a stream it has left before."""

RTT_SMOOTHING = 1 / 8
"""Share of a new measurement in the round-trip time (as RFC 6298 section 2)."""


class MediaKeys(NamedTuple):
    """What signalling and DTLS agreed on.

    Attributes:
        inbound: SRTP session for what the caller sends.
        outbound: SRTP session for what we send.
        local_ssrc: Our RTP stream's SSRC, as in the answer.
        payload_type: Opus, as negotiated; both ways.
        cname: Ours, as in the answer.
        red_type: RED, as negotiated; both ways; None: the caller does not know it.
    """

    inbound: Session
    outbound: Session
    local_ssrc: int
    payload_type: int
    cname: str
    red_type: int | None = None


class Coding(NamedTuple):
    """How audio is coded.

    Attributes:
        payload: What the link carries, both ways.
        profile: How the model's voice is encoded for the caller.
    """

    payload: Payload = Payload.PCM
    profile: Profile = Profile.AUTO


class Media:
    """One leg's audio, both ways.

    Attributes:
        rtt_s: Round-trip time to the caller, smoothed; None until it reports.
        adaptation: What the caller's reports have led to.
    """

    __slots__ = (
        "_alarm",
        "_closed",
        "_cname",
        "_down",
        "_foreign",
        "_former",
        "_frames_up",
        "_malformed",
        "_now",
        "_packetizer",
        "_payload_type",
        "_playout",
        "_received",
        "_receiver",
        "_red_type",
        "_repeated",
        "_report_at",
        "_rng",
        "_send",
        "_sender",
        "_ssrc",
        "_stream",
        "_timed_down",
        "_timed_up",
        "_timer",
        "_tuning",
        "_unheard",
        "_up",
        "_uplink",
        "_voice",
        "_window",
        "adaptation",
        "rtt_s",
    )

    def __init__(
        self,
        keys: MediaKeys,
        send: Callable[[bytes], None],
        uplink: Callable[[UpFrame], None],
        timer: SharedTimer,
        rng: random.Random | None = None,
        coding: Coding = Coding(),  # noqa: B008  # immutable
    ) -> None:
        """Start the leg's media.

        Args:
            keys: Keys and numbers.
            send: Puts a datagram on the wire to the caller.
            uplink: Takes the caller's frames; must neither block nor raise.
            timer: Shared by all calls.
            rng: Draws RTP's random starts and the report intervals.
            coding: Of the audio on either side.
        """
        self.rtt_s: float | None = None
        self._rng = rng or random.Random()
        now = timer.now()
        self._timer = timer
        self._now = timer.now
        self._alarm = timer.alarm(self._wake)
        self._send = send
        self._uplink = uplink
        self._ssrc = keys.local_ssrc
        self._payload_type = keys.payload_type
        self._red_type = keys.red_type
        self._cname = keys.cname
        self._receiver = SrtpReceiver(keys.inbound)
        self._sender = SrtpSender(keys.outbound)
        self._stream: Stream | None = None
        self._former: set[int] = set()
        self._window: ReorderWindow[tuple[int, bytes]] = ReorderWindow()
        sound = SOUNDS[coding.payload]
        self._voice = sound.uplink()
        self._playout = Playout(sound)
        start = self._rng.getrandbits(15), self._rng.getrandbits(32)
        planned = plan(coding.profile, knows_red=keys.red_type is not None)
        self.adaptation = Adaptation(planned, start[0])
        self._packetizer = Packetizer(
            self._ssrc,
            (self._payload_type, self._red_type),
            start,
            now,
            sound,
            planned.encoding,
        )
        self._down, self._up = self._lanes(coding.payload, send)
        self._tuning: Tuning | None = None
        self._tune(now)
        self._received = self._frames_up = self._malformed = self._foreign = 0
        self._repeated = 0
        self.watched_by(Sight())
        self._closed = False
        self._report_at = now + self._rng.uniform(*REPORT_INTERVAL_S) / 2
        self._alarm.set(self._report_at)

    def watched_by(self, sight: Sight) -> None:
        """Have delays measured."""
        self._leave_lanes()
        self._timed_up, self._timed_down = sight.uplink, sight.downlink
        self._unheard = sight.unheard

    def datagram_received(self, data: bytes, now: float) -> None:
        """Take an SRTP or SRTCP datagram from the caller's address."""
        clear = self._up.take(data, now)
        if clear is True:
            return
        if clear is None:
            if self._closed or data[1:2] in RTCP_TYPES:
                self._rtcp_received(data, now)
                return
            clear = self._receiver.open_rtp(data)
            if clear is None:
                return
        self._leave_up()
        try:
            packet = rtp.parse(clear)
        except MalformedPacket:
            self._malformed += 1
        else:
            self._packet_received(packet, now)
        self._enter_up()

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        """Queue a frame of the model's audio; what is due is sent at once."""
        now = self._now()
        if self._down.play(frame, now) or self._closed or type(frame) is not DownFrame:
            return
        self._down.leave()
        self._timed_down.begin(frame.position_samples, frame.lead_ms)
        self._playout.push(frame, now)
        self._send_due(now)
        self._down.enter(self._timed_down)
        self._await_due()

    def frames_lost(self, count: int, now: float) -> None:
        """Note frames the link has given up (the caller's jitter buffer conceals)."""
        del now  # nothing is made up here, so it does not matter when
        self._playout.lost(count)

    def flush(self, talkspurt: int, now: float) -> tuple[int, int]:
        """Silence talkspurts up to this one for good.

        Returns:
            The talkspurt last sent (0: none) and how many samples of it the caller
            hears before silence: all that were sent.
        """
        self._down.leave()
        heard = self._playout.flush(talkspurt, now)
        self._await_due()
        return heard

    def ease(self, *, eased: bool) -> None:
        """Encode at complexity 0, for want of CPU; or as planned again."""
        self.adaptation.is_eased = eased
        self._tune(self._timer.now())

    def close(self) -> None:
        """Say goodbye and stop; later calls do nothing."""
        if self._closed:
            return
        self._send_report(self._timer.now(), leaving=True)
        self._closed = True
        self._alarm.drop()

    @property
    def complexity(self) -> int:
        """What the model's voice is encoded at, unless it comes encoded."""
        return self._tuning.complexity if self._tuning else 0

    @property
    def waiting_frames(self) -> int:
        """Frames of the model's voice that are not due."""
        return self._playout.waiting_frames + self._down.count

    def counts(self) -> dict[str, int]:
        """Return what happened so far, by kind, for metrics."""
        self._leave_lanes()
        window, voice, playout = self._window, self._voice, self._playout
        return {
            "received_packets": self._received,
            "lost_packets": window.lost,
            "late_packets": window.late,
            "duplicate_packets": window.duplicates,
            "recovered_packets": voice.recovered + self._repeated,
            "repeated_packets": self._repeated,
            "concealed_packets": voice.concealed,
            "corrupt_packets": voice.corrupt,
            "clock_jumps": voice.jumps,
            "excess_packets": voice.excess,
            "malformed_packets": self._malformed,
            "foreign_packets": self._foreign,
            "unauthentic_datagrams": self._receiver.auth_failures,
            "replayed_datagrams": self._receiver.replays,
            "frames_up": self._frames_up,
            "sent_packets": self._packetizer.packets,
            "repeating_packets": self._packetizer.repeating,
            "unsealed_packets": self._sender.failures,
            "unsent_frames": playout.dropped + self._packetizer.unencodable,
            "missing_frames": playout.missing,
        }

    # Lanes, which are for audio as PCM.

    def _lanes(
        self, payload: Payload, send: Callable[[bytes], None]
    ) -> tuple[DownLane, UpLane]:
        down_lane, up_lane = laneless.DownLane, laneless.UpLane
        if payload is Payload.PCM:
            down_lane, up_lane = DownLane, UpLane
        down = down_lane(
            self._playout, self._packetizer, self._sender, send, self._alarm
        )
        up = up_lane(
            self._receiver,
            self._voice,
            self._window,
            (self._payload_type, self._red_type),
            self._uplink,
            down,
        )
        return down, up

    def _enter_up(self) -> None:
        if self._stream is not None and not self._closed:
            self._up.enter(self._stream, self._timed_up)

    def _leave_up(self) -> None:
        passed = self._up.leave()
        self._received += passed
        self._frames_up += passed

    def _enter_lanes(self) -> None:
        self._down.enter(self._timed_down)
        self._enter_up()

    def _leave_lanes(self) -> None:
        """Have all state where it is looked for."""
        self._down.leave()
        self._leave_up()

    # Uplink.

    def _packet_received(self, packet: RtpPacket, now: float) -> None:
        kind, sequence, timestamp, ssrc, payload = packet
        stream = self._stream
        if stream is None or ssrc != stream.reception.ssrc:
            stream = self._change_stream(packet, now)
            if stream is None:
                self._foreign += 1
                return
        self._received += 1
        stream.received_at = now
        self._timed_up.begin(timestamp)
        sequence = stream.extender.extend(sequence)
        stream.reception.received(sequence, timestamp, now)
        if kind != self._payload_type:
            other = self._other_payload(kind, payload)
            if other is None:
                return
            payload = other
        if self._window.passes(sequence):
            self._hand_on(0, timestamp, payload, now)
        else:
            self._put_in_order(sequence, packet, payload, now)

    def _other_payload(self, kind: int, payload: bytes) -> bytes | None:
        """Return the Opus packet in one of RED; None: it is malformed, as if lost.

        What is neither holds no audio, but keeps its place in the sequence: no loss.
        """
        if kind == self._red_type:
            try:
                kind, payload = red.newest(payload)
            except MalformedPacket:
                self._malformed += 1
                return None
        if kind != self._payload_type:
            self._foreign += 1
            return b""
        return payload

    def _put_in_order(
        self, sequence: int, packet: RtpPacket, payload: bytes, now: float
    ) -> None:
        if packet.payload_type == self._red_type:
            self._fill(sequence, packet, now)
        self._window.push(sequence, (packet.timestamp, payload), now)
        self._deliver(now)

    def _fill(self, sequence: int, packet: RtpPacket, now: float) -> None:
        """Put what a packet repeats where it is missing, if time agrees with number."""
        window, voice, kind = self._window, self._voice, self._payload_type
        for age, repeat in enumerate(red.repeats(packet.payload, kind), 1):
            earlier = sequence - age
            if window.is_over(earlier):
                return
            timestamp = (packet.timestamp - repeat.offset_ticks) & 0xFFFF_FFFF
            waits = window.waiting(earlier)
            if waits is None and voice.is_behind(timestamp):
                window.fill(earlier, (timestamp, repeat.payload), now)
                self._repeated += 1
            elif waits is None or waits[0] != timestamp:
                return

    def _change_stream(self, packet: RtpPacket, now: float) -> Stream | None:
        """Follow the caller to another SSRC, at once if it is a new one.

        Stragglers of one it has left do not lead back to it, nor do other payloads.
        """
        if packet.payload_type not in {self._payload_type, self._red_type}:
            return None
        stream = self._stream
        if stream is not None:
            quiet = now - stream.received_at > STREAM_QUIET_S
            if packet.ssrc in self._former and not quiet:
                return None
            self._former.add(stream.reception.ssrc)  # as few as SRTP lets in
            for lost, (timestamp, payload) in self._window.drain():
                self._hand_on(lost, timestamp, payload, now)
            self._voice.restart()
        self._stream = Stream(packet, now)
        return self._stream

    def _deliver(self, now: float) -> None:
        for lost, (timestamp, payload) in self._window.pull(now):
            self._hand_on(lost, timestamp, payload, now)
        if self._window.deadline < self._alarm.deadline:
            self._alarm.set(self._window.deadline)

    def _hand_on(self, lost: int, timestamp: int, payload: bytes, now: float) -> None:
        pieces = self._voice.take(lost, timestamp, payload, now)
        if pieces:
            talkspurt, samples = self._down.heard(now)
            uplink = self._uplink
            for position, piece in pieces:
                uplink(new_tuple(UpFrame, (position, talkspurt, samples, piece)))
            self._frames_up += len(pieces)
            if timestamp == self._timed_up.key:
                self._timed_up.end()

    # Downlink.

    def _send_due(self, now: float) -> None:
        if self._down.is_on:
            self._down.send_due(now)
            return
        for frame in self._playout.pull(now):
            packet = self._packetizer.packetize(frame, now)
            datagram = None if packet is None else self._sender.seal_rtp(packet)
            if datagram is not None:
                self._send(datagram)
                if frame.position_samples == self._timed_down.key:
                    self._timed_down.end()

    def _await_due(self) -> None:
        due = self._down.next_due()
        if due < self._alarm.deadline:
            self._alarm.set(due)

    def _wake(self, now: float) -> None:
        self._send_due(now)
        self._deliver(now)
        if now >= self._report_at:
            self._report_at = now + self._rng.uniform(*REPORT_INTERVAL_S)
            self._send_report(now)
            self._enter_lanes()
        next_due, give_up = self._down.next_due(), self._window.deadline
        self._alarm.set(min(self._report_at, next_due, give_up))

    # Reports.

    def _send_report(self, now: float, *, leaving: bool = False) -> None:
        self._leave_lanes()
        sender = self._packetizer.sender_info(now)
        report = rtcp.build_report(
            sender,
            self._cname,
            None if self._stream is None else self._stream.reception.report(now),
            sending=now - self._packetizer.sent_at < SENDING_S,
        )
        if leaving:
            report += rtcp.build_goodbye(sender.ssrc)
        datagram = self._sender.seal_rtcp(report)
        if datagram is not None:
            self._send(datagram)

    def _rtcp_received(self, data: bytes, now: float) -> None:
        clear = None if self._closed else self._receiver.open_rtcp(data)
        if clear is None:
            return
        try:
            feedback = rtcp.parse(clear)
        except MalformedPacket:
            self._malformed += 1
            return
        self._leave_lanes()
        stream, sender = self._stream, feedback.sender
        if stream and sender and sender.ssrc == stream.reception.ssrc:
            stream.reception.sender_reported(sender, now)
        own = [block for block in feedback.blocks if block.ssrc == self._ssrc]
        if own:  # loss since the report before: two at a time are no loss more
            self._caller_reported(own[-1], now)
        if feedback.estimate_bps is not None:
            self.adaptation.estimated(feedback.estimate_bps, now)
        self._tune(now)
        self._enter_lanes()

    def _caller_reported(self, block: ReportBlock, now: float) -> None:
        rtt_s = rtcp.round_trip_s(block, now)
        self.adaptation.reported(block, rtt_s, now)
        if rtt_s is None:
            return
        if self.rtt_s is None:
            self.rtt_s = rtt_s
        self.rtt_s += (rtt_s - self.rtt_s) * RTT_SMOOTHING
        self._playout.under_way_s = self.rtt_s / 2
        behind = self._packetizer.newest - block.highest_sequence & 0xFFFF
        unheard_s = self._playout.unheard_s(behind, now - rtt_s / 2)
        if unheard_s is not None:
            self._unheard(unheard_s)

    def _tune(self, now: float) -> None:
        tuning = self.adaptation.tuning(now)
        if tuning != self._tuning:
            self._down.leave()
            self._tuning = tuning
            self._packetizer.tune(tuning)
