"""A caller of our own making, and media in virtual time between it and the test."""

import random
from typing import NamedTuple

import numpy as np
from pylibsrtp import Policy, Session

from codec.opus import Decoder, Encoder
from proto.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, DownFrame, UpFrame
from proto.payload import Payload
from tests.support.clock import HandTurnedLoop
from transceiver import rtcp, rtp
from transceiver.media import Coding, Media, MediaKeys
from transceiver.profile import Profile
from transceiver.timer import SharedTimer

PAYLOAD_TYPE, RED_TYPE = 111, 63
CALLER_SSRC, OUR_SSRC = 0xCA11E4, 0x0E06E
FRAME_S = 0.02
FRAME_TICKS = 960


def session(key: int, direction: int) -> Session:
    profile = Policy.SRTP_PROFILE_AEAD_AES_128_GCM
    return Session(Policy(bytes([key]) * 28, direction, 0, profile))


def keys(red_type: int | None = None) -> MediaKeys:
    """Return the edge's keys, which a caller has the other way round."""
    return MediaKeys(
        inbound=session(1, Policy.SSRC_ANY_INBOUND),
        outbound=session(2, Policy.SSRC_ANY_OUTBOUND),
        local_ssrc=OUR_SSRC,
        payload_type=PAYLOAD_TYPE,
        cname="edge",
        red_type=red_type,
    )


class Sent(NamedTuple):
    at: float
    sequence: int
    timestamp: int
    marker: bool
    payload: bytes
    payload_type: int = PAYLOAD_TYPE


class Leg:
    """One leg's media between a caller and a link that are both the test."""

    def __init__(
        self,
        payload: Payload = Payload.PCM,
        profile: Profile = Profile.AUTO,
        *,
        knows_red: bool = False,
    ) -> None:
        self.loop = HandTurnedLoop(1000.0)
        self.timer = SharedTimer(self.loop)
        self.up: list[tuple[float, UpFrame]] = []
        self.sent: list[Sent] = []
        self.reports: list[tuple[float, rtcp.Feedback]] = []
        self.protect = session(1, Policy.SSRC_ANY_OUTBOUND)
        self._unprotect = session(2, Policy.SSRC_ANY_INBOUND)
        self.media = Media(
            keys(RED_TYPE if knows_red else None),
            self._datagram_sent,
            self._frame_up,
            self.timer,
            random.Random(1),
            Coding(payload, profile),
        )
        self.began_at = self.loop.now
        self.told_cycles = 0  # of our sequence numbers, by callers

    def receive(self, datagram: bytes) -> None:
        self.media.datagram_received(datagram, self.loop.now)

    def play(self, frame: DownFrame) -> None:
        self.media.frame_received(frame)

    def run(self, seconds: float) -> None:
        self.loop.run_until(self.loop.now + seconds)

    def _frame_up(self, frame: UpFrame) -> None:
        self.up.append((self.loop.now, frame))

    def _datagram_sent(self, data: bytes) -> None:
        if 192 <= data[1] <= 223:
            feedback = rtcp.parse(self._unprotect.unprotect_rtcp(data))
            self.reports.append((self.loop.now, feedback))
            return
        clear = self._unprotect.unprotect(data)
        packet = rtp.parse(clear)
        assert packet.ssrc == OUR_SSRC
        assert packet.payload_type in {PAYLOAD_TYPE, RED_TYPE}
        self.sent.append(
            Sent(
                self.loop.now,
                packet.sequence,
                packet.timestamp,
                bool(clear[1] & 0x80),
                packet.payload,
                packet.payload_type,
            )
        )


class Caller:
    """What a browser sends: Opus with FEC, numbered; the test decides what arrives."""

    def __init__(self, leg: Leg, ssrc: int = CALLER_SSRC) -> None:
        self.leg = leg
        self.ssrc = ssrc
        self.sequence = 65_530  # soon over its wrap
        self.timestamp = 2**32 - 5 * FRAME_TICKS
        self.encoder = Encoder()
        self.encoder.set_expected_loss(20)
        self._position = 0

    def speak(self, pcm: bytes | None = None) -> bytes:
        """Return the next packet's datagram."""
        if pcm is None:
            pcm = voice(self._position, FRAME_SAMPLES)
            self._position += FRAME_SAMPLES
        return self.packet(self.encoder.encode(pcm))

    def packet(
        self, payload: bytes, ticks: int = FRAME_TICKS, kind: int = 111
    ) -> bytes:
        header = rtp.build_header(
            kind, self.sequence, self.timestamp, self.ssrc, marker=False
        )
        self.sequence += 1
        self.timestamp += ticks
        return self.leg.protect.protect(header + payload)

    def block(self, *, fraction_lost: int = 0, sent_s: float = 0.0) -> rtcp.ReportBlock:
        """What it says of us, each time of as many packets as sequence numbers count.

        Args:
            fraction_lost: Of them, in 256ths.
            sent_s: When our report it answers was sent.
        """
        self.leg.told_cycles += 1
        highest, echoed = self.leg.told_cycles << 16, rtcp.ntp_short(sent_s)
        return rtcp.ReportBlock(OUR_SSRC, fraction_lost, 0, highest, 0, echoed, 0)

    def report(self, *blocks: rtcp.ReportBlock) -> None:
        now = self.leg.loop.now
        info = rtcp.SenderInfo(
            self.ssrc, rtcp.ntp(now), self.timestamp & 0xFFFFFFFF, 1, 1
        )
        data = rtcp.build_report(
            info, "caller", blocks[0] if blocks else None, sending=True
        )
        self.leg.receive(self.leg.protect.protect_rtcp(data))


def speak(leg: Leg, caller: Caller, packets: int) -> None:
    """Have packets come as they are spoken."""
    for _ in range(packets):
        leg.receive(caller.speak())
        leg.run(FRAME_S)


def lose(leg: Leg, caller: Caller, packets: int) -> None:
    """Have as many not come."""
    for _ in range(packets):
        caller.speak()
        leg.run(FRAME_S)


def play_talkspurt(leg: Leg, number: int, frames: int, lead_ms: int = 100) -> None:
    """Have the model speak, from the beginning of a talkspurt."""
    for i in range(frames):
        start = i * FRAME_SAMPLES
        leg.play(DownFrame(number, start, lead_ms, voice(start, FRAME_SAMPLES)))
        leg.run(FRAME_S)


def voice(start: int, samples: int) -> bytes:
    """A voiced sound with a syllable rhythm: s16le, mono, 24 kHz."""
    t = np.arange(start, start + samples) / SAMPLE_RATE_HZ
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 3 * t)
    tone = sum(np.sin(2 * np.pi * 140 * h * t) / h for h in (1, 2, 3, 5, 8))
    return (7000 * swell * tone).astype("<i2").tobytes()


def level(pcm: bytes) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.frombuffer(pcm, "<i2").astype(float) ** 2)))


def heard(sent: list[Sent]) -> bytes:
    """Decode what was sent to the caller, in order."""
    decoder = Decoder()
    return b"".join(decoder.decode(packet.payload) for packet in sent)
