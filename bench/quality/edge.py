"""Tandem's own edge, the whole of its media path, in virtual time: no clock, no socket.

SRTP, RED, order, Opus, reports: the code that serves calls, driven packet by packet.
"""

import random
from collections.abc import Sequence

from pylibsrtp import Policy, Session

from bench.quality.caller import FRAME_TICKS, Packet
from bench.quality.pieces import Pieces
from bench.quality.trace import Weather
from proto.frames import FRAME_MS, FRAME_SAMPLES, DownFrame, UpFrame
from tests.support.clock import HandTurnedLoop
from transceiver import rtcp, rtp
from transceiver.media import Coding, Media, MediaKeys
from transceiver.profile import Profile
from transceiver.timer import SharedTimer

OPUS_TYPE, RED_TYPE = 111, 63
"""As Chromium has them."""

LEAD_FRAMES = 5
"""What the relay sends ahead of the caller's ear: 100 ms."""

REPORTS = 12
"""Reports of the path's loss before anything is said: enough to believe it."""

_FRAME_S = FRAME_MS / 1000
_OUR_SSRC, _CALLER_SSRC = 1, 2
_END_S = 1.0
"""For what is still under way."""


class Edge:
    """One call's media, between a caller and a link that are both the benchmark."""

    def __init__(self, profile: Profile = Profile.AUTO, *, knows_red: bool) -> None:
        self._loop = HandTurnedLoop(1000.0)
        self._up: list[UpFrame] = []
        self._sent: list[Packet] = []
        self._first_timestamp: int | None = None
        self._protect = _session(1, Policy.SSRC_ANY_OUTBOUND)
        self._unprotect = _session(2, Policy.SSRC_ANY_INBOUND)
        keys = MediaKeys(
            inbound=_session(1, Policy.SSRC_ANY_INBOUND),
            outbound=_session(2, Policy.SSRC_ANY_OUTBOUND),
            local_ssrc=_OUR_SSRC,
            payload_type=OPUS_TYPE,
            cname="edge",
            red_type=RED_TYPE if knows_red else None,
        )
        timer = SharedTimer(self._loop)
        rng, coding = random.Random(1), Coding(profile=profile)
        self._media = Media(keys, self._take, self._up.append, timer, rng, coding)

    def say(self, frames: Sequence[bytes], weather: Weather) -> list[Packet]:
        """Return what is sent to a caller whose reports tell of this loss."""
        for number in range(1, REPORTS + 1):
            self._report(weather.percent, highest=number << 16)
            self._run(1.0)
        for number, pcm in enumerate(frames):
            lead_ms = LEAD_FRAMES * FRAME_MS
            frame = DownFrame(1, number * FRAME_SAMPLES, lead_ms, pcm)
            self._media.frame_received(frame)
            self._run(_FRAME_S)
        self._run(_END_S)
        return self._sent

    def hear(self, packets: Sequence[Packet | None]) -> Pieces:
        """Return what the model gets of a caller's packets; None: lost on the way."""
        for sequence, packet in enumerate(packets):
            if packet is not None:
                kind = RED_TYPE if packet.is_red else OPUS_TYPE
                ticks = packet.frame * FRAME_TICKS
                header = rtp.build_header(
                    kind, sequence, ticks, _CALLER_SSRC, marker=False
                )
                datagram = self._protect.protect(header + packet.payload)
                self._media.datagram_received(datagram, self._loop.now)
            self._run(_FRAME_S)
        self._run(_END_S)
        return [(frame.position_samples, frame.payload) for frame in self._up]

    def _report(self, percent: int, *, highest: int) -> None:
        """Tell of loss among the packets up to this number: more of them each time."""
        lost = percent * 256 // 100
        block = rtcp.ReportBlock(_OUR_SSRC, lost, 0, highest, 0, 0, 0)
        now = self._loop.now
        info = rtcp.SenderInfo(_CALLER_SSRC, rtcp.ntp(now), 0, 0, 0)
        report = rtcp.build_report(info, "caller", block, sending=True)
        self._media.datagram_received(self._protect.protect_rtcp(report), now)

    def _run(self, seconds: float) -> None:
        self._loop.run_until(self._loop.now + seconds)

    def _take(self, datagram: bytes) -> None:
        if 192 <= datagram[1] <= 223:  # RTCP (RFC 5761 section 4)
            return
        packet = rtp.parse(self._unprotect.unprotect(datagram))
        if self._first_timestamp is None:
            self._first_timestamp = packet.timestamp
        ticks = rtp.signed_distance(packet.timestamp, self._first_timestamp, 32)
        is_red = packet.payload_type == RED_TYPE
        self._sent.append(Packet(ticks // FRAME_TICKS, is_red, packet.payload))


def _session(key: int, direction: int) -> Session:
    profile = Policy.SRTP_PROFILE_AEAD_AES_128_GCM
    return Session(Policy(bytes([key]) * 28, direction, 0, profile))
