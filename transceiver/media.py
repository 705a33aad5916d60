"""HOT PATH. The media of one leg: decrypted nowhere else, delayed nowhere but by need.

    uplink     datagram ► SRTP ► depacketizer (order, RED, decode, conceal) ► UpFrame
    downlink   DownFrame ► playout ► packetizer (encode, RED) ► SRTP ► datagram
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

from proto.frames import DownFrame, UpFrame
from proto.payload import Payload
from transceiver import laneless
from transceiver.adaptation import Adaptation, Tuning
from transceiver.depacketizer import Depacketizer
from transceiver.packetizer import Packetizer
from transceiver.playout import Playout
from transceiver.profile import Profile, plan
from transceiver.reports import Reports
from transceiver.sight import Sight
from transceiver.sound import SOUNDS
from transceiver.srtp import SrtpReceiver, SrtpSender
from transceiver.timer import SharedTimer

try:
    from transceiver.lane import DownLane, UpLane
except ImportError:  # not compiled
    from transceiver.laneless import DownLane, UpLane

HAS_LANES = DownLane is not laneless.DownLane
"""What is usual goes through compiled code."""

RTCP_TYPES = frozenset(bytes((kind,)) for kind in range(192, 224))
"""Second bytes of RTCP, that RTP does not use beside it (RFC 5761 section 4)."""


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
        reports: What we and the caller tell each other.
        adaptation: What the caller's reports have led to.
    """

    __slots__ = (
        "_alarm",
        "_closed",
        "_depacketizer",
        "_down",
        "_packetizer",
        "_playout",
        "_receiver",
        "_send",
        "_sender",
        "_timed_down",
        "_timer",
        "_tuning",
        "_unheard",
        "_up",
        "_window",
        "adaptation",
        "reports",
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
        rng = rng or random.Random()
        now = timer.now()
        self._timer = timer
        self._alarm = timer.alarm(self._wake)
        self._send = send
        self._receiver = SrtpReceiver(keys.inbound)
        self._sender = SrtpSender(keys.outbound)
        sound, types = SOUNDS[coding.payload], (keys.payload_type, keys.red_type)
        start = rng.getrandbits(15), rng.getrandbits(32)
        planned = plan(coding.profile, knows_red=keys.red_type is not None)
        self.adaptation = Adaptation(planned, start[0])
        self._playout = Playout(sound)
        self._packetizer = Packetizer(
            keys.local_ssrc, types, start, now, sound, planned.encoding
        )
        self.reports = Reports(
            (keys.local_ssrc, keys.cname),
            self._packetizer,
            self._playout,
            self.adaptation,
            rng.uniform,
            now,
        )
        down_lane, up_lane = _lanes(coding.payload)
        self._down = down_lane(
            self._playout, self._packetizer, self._sender, send, self._alarm
        )
        self._depacketizer = Depacketizer(
            types, sound.uplink(), self._down.heard, uplink
        )
        self._window = self._depacketizer.window
        self._up = up_lane(self._receiver, self._depacketizer, self._down)
        self._tuning: Tuning | None = None
        self._tune(now)
        self.watched_by(Sight())
        self._closed = False
        self._alarm.set(self.reports.due_at)

    def watched_by(self, sight: Sight) -> None:
        """Have delays measured."""
        self._leave_lanes()
        self._depacketizer.timed, self._timed_down = sight.uplink, sight.downlink
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
        self._up.leave()
        self._depacketizer.take(clear, now)
        if self._closed:
            return
        self._up.enter()
        if self._window.deadline < self._alarm.deadline:
            self._alarm.set(self._window.deadline)

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        """Queue a frame of the model's audio; what is due is sent at once."""
        now = self._timer.now()
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
        counts, packetizer = self._depacketizer.counts(), self._packetizer
        counts["received_packets"] += self._up.taken
        counts["frames_up"] += self._up.taken
        counts["malformed_packets"] += self.reports.malformed
        return counts | {
            "unauthentic_datagrams": self._receiver.auth_failures,
            "replayed_datagrams": self._receiver.replays,
            "sent_packets": packetizer.packets + self._down.taken,
            "repeating_packets": packetizer.repeating + self._down.taken_repeating,
            "unsealed_packets": self._sender.failures,
            "unsent_frames": self._playout.dropped + packetizer.unencodable,
            "missing_frames": self._playout.missing,
        }

    def _enter_lanes(self) -> None:
        self._down.enter(self._timed_down)
        self._up.enter()

    def _leave_lanes(self) -> None:
        """Have all state where it is looked for."""
        self._down.leave()
        self._up.leave()

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
        self._depacketizer.deliver(now)
        if self._closed:
            return
        if now >= self.reports.due_at:
            self._send_report(now)
            self._enter_lanes()
        next_due, give_up = self._down.next_due(), self._window.deadline
        self._alarm.set(min(self.reports.due_at, next_due, give_up))

    def _send_report(self, now: float, *, leaving: bool = False) -> None:
        self._leave_lanes()
        reception = self._depacketizer.reception
        report = self.reports.build(reception, now, leaving=leaving)
        datagram = self._sender.seal_rtcp(report)
        if datagram is not None:
            self._send(datagram)

    def _rtcp_received(self, data: bytes, now: float) -> None:
        report = None if self._closed else self._receiver.open_rtcp(data)
        if report is None:
            return
        self._leave_lanes()
        unheard_s = self.reports.take(report, self._depacketizer.reception, now)
        if unheard_s is not None:
            self._unheard(unheard_s)
        self._tune(now)
        self._enter_lanes()

    def _tune(self, now: float) -> None:
        tuning = self.adaptation.tuning(now)
        if tuning != self._tuning:
            self._down.leave()
            self._tuning = tuning
            self._packetizer.tune(tuning)


def _lanes(payload: Payload) -> tuple[type[DownLane], type[UpLane]]:
    """Return what goes through compiled code: audio as PCM."""
    if payload is Payload.PCM:
        return DownLane, UpLane
    return laneless.DownLane, laneless.UpLane
