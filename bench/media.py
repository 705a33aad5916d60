"""CPU of the media path per packet and per frame, beside its C calls alone.

    python -m bench.media

Both columns are measured in turns within one run, so that their ratio means something
on a busy machine. `C calls` is what no Python can save: SRTP in place and Opus, called
with the same data through the same bindings. `calls` are those of Python functions for
each packet or frame, which is what can be saved.
"""

import argparse
import asyncio
import gc
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from pylibsrtp import Policy, Session

from bench.lane import Clock
from codec import opus
from codec.opus import Decoder, Encoder
from proto.frames import FRAME_BYTES, FRAME_MS, FRAME_SAMPLES, DownFrame
from tests.support.sound import babble
from transceiver import red, rtcp, rtp, srtp
from transceiver.media import Coding, Media, MediaKeys
from transceiver.profile import Profile, plan
from transceiver.srtp import SrtpReceiver, SrtpSender
from transceiver.timer import SharedTimer

ROUNDS = 9
PACKETS = 500
FRAME_S = FRAME_MS / 1000
OPUS_TYPE, RED_TYPE = 111, 63
OUR_SSRC, CALLER_SSRC = 1, 7
PROFILE = Policy.SRTP_PROFILE_AEAD_AES_128_GCM


class Case(NamedTuple):
    """What is measured.

    Attributes:
        loss_percent: What the caller reports; RED is sent above a profile's threshold.
    """

    name: str
    profile: Profile
    knows_red: bool = False
    loss_percent: int = 0


CASES = (
    Case("quality", Profile.QUALITY),
    Case("voip", Profile.VOIP),
    Case("low delay", Profile.LOW_DELAY, knows_red=True),
    Case("low delay, RED", Profile.LOW_DELAY, knows_red=True, loss_percent=4),
    Case("low delay, RED of two", Profile.LOW_DELAY, knows_red=True, loss_percent=16),
)


class Cost(NamedTuple):
    """CPU microseconds per packet or frame; calls of Python's."""

    whole: float
    c_calls: float
    calls: float


def session(direction: int) -> Session:
    """Return an SRTP session of a fixed key."""
    return Session(Policy(bytes(28), direction, 0, PROFILE))


def speech(frames: int) -> list[bytes]:
    """Return frames of something voiced, noisy and uneven."""
    pcm = babble(frames * FRAME_S, seed=1).tobytes()
    return [pcm[i : i + FRAME_BYTES] for i in range(0, len(pcm), FRAME_BYTES)]


def cpu_us(work: Callable[[], None], count: int) -> float:
    """Return CPU time of this process per item, microseconds."""
    before = time.process_time()
    work()
    return (time.process_time() - before) / count * 1e6


def calls_of(work: Callable[[], None], count: int) -> float:
    """Return how many functions of Python are called per item."""
    calls = 0

    def note(_: object, event: str, __: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return (calls - 1) / count - 1  # the work's own, and what takes each item


class Bench:
    """The same audio through the media path and through its C calls alone."""

    def __init__(self, clock: Clock, case: Case) -> None:
        self._case = case
        self._frames = speech(PACKETS)
        self._up = 0
        self._sent = 0
        self._media = Media(
            MediaKeys(
                inbound=session(Policy.SSRC_ANY_INBOUND),
                outbound=session(Policy.SSRC_ANY_OUTBOUND),
                local_ssrc=OUR_SSRC,
                payload_type=OPUS_TYPE,
                cname="bench",
                red_type=RED_TYPE if case.knows_red else None,
            ),
            self._datagram_sent,
            self._frame_up,
            SharedTimer(clock),
            random.Random(1),
            Coding(profile=case.profile),
        )
        self._protect = session(Policy.SSRC_ANY_OUTBOUND)
        self._caller = Encoder()
        self._caller.set_expected_loss(5)
        self._before: list[tuple[int, bytes]] = []
        self._receiver = SrtpReceiver(session(Policy.SSRC_ANY_INBOUND))
        self._sender = SrtpSender(session(Policy.SSRC_ANY_OUTBOUND))
        self._decoder = Decoder()
        encoding = plan(case.profile, knows_red=case.knows_red).encoding
        self._encoder = Encoder(encoding)
        self._encoder.set_expected_loss(5 * encoding.has_fec)
        self._sequence = 0
        self._sealed = 0
        self._talkspurt = 0
        self._clock = clock
        self._now = clock.now
        self._report_loss()

    def round(self) -> tuple[Cost, Cost]:
        """Return the uplink's and the downlink's costs."""
        costs = self._uplink(), self._downlink()
        self._now += (PACKETS + 1) * FRAME_S
        return costs

    def _report_loss(self) -> None:
        fraction = round(self._case.loss_percent * 2.56)
        info = rtcp.SenderInfo(CALLER_SSRC, 0, 0, 0, 0)
        for cycle in range(1, 6):  # as if of many packets each, or it tells nothing
            highest = cycle << 16
            block = rtcp.ReportBlock(OUR_SSRC, fraction, 0, highest, 0, 0, 0)
            report = rtcp.build_report(info, "caller", block, sending=False)
            datagram = self._protect.protect_rtcp(report)
            self._media.datagram_received(datagram, self._now)

    def _uplink(self) -> Cost:
        counted = [self._datagram(frame)[0] for frame in self._frames]
        calls = calls_of(lambda: self._receive(counted), PACKETS)
        self._now += PACKETS * FRAME_S
        self._up = 0
        packets = [self._datagram(frame) for frame in self._frames]
        datagrams = [datagram for datagram, _ in packets]
        whole = cpu_us(lambda: self._receive(datagrams), PACKETS)
        assert self._up == PACKETS
        c_calls = cpu_us(lambda: self._open_and_decode(packets), PACKETS)
        return Cost(whole, c_calls, calls)

    def _downlink(self) -> Cost:
        counted = self._talkspurt_frames()
        calls = calls_of(lambda: self._play(counted), PACKETS)
        self._now += (PACKETS + 1) * FRAME_S
        frames = self._talkspurt_frames()
        self._sent = 0
        whole = cpu_us(lambda: self._play(frames), PACKETS)
        assert self._sent >= PACKETS
        return Cost(whole, cpu_us(self._encode_and_seal, PACKETS), calls)

    def _talkspurt_frames(self) -> list[DownFrame]:
        self._talkspurt += 1
        return [
            DownFrame(self._talkspurt, i * FRAME_SAMPLES, 0, pcm)
            for i, pcm in enumerate(self._frames)
        ]

    def _datagram(self, pcm: bytes) -> tuple[bytes, int]:
        """Return a caller's packet, and where in it what is new begins."""
        self._sequence += 1
        payload, ticks = self._caller.encode(pcm), self._sequence * 960
        kind, data = OPUS_TYPE, payload
        if self._case.knows_red:
            kind, data = RED_TYPE, red.build(OPUS_TYPE, payload, ticks, self._before)
            self._before = [(ticks, payload)]
        header = rtp.build_header(
            kind, self._sequence, ticks, CALLER_SSRC, marker=False
        )
        packet = header + data
        return self._protect.protect(packet), len(packet) - len(payload)

    def _receive(self, datagrams: list[bytes]) -> None:
        now, receive = self._now, self._media.datagram_received
        for i, datagram in enumerate(datagrams):
            receive(datagram, now + i * FRAME_S)

    def _open_and_decode(self, packets: list[tuple[bytes, int]]) -> None:
        receiver, decoder = self._receiver, self._decoder
        cdata, length = srtp._CDATA, srtp._LENGTH
        context, unprotect = receiver._context, srtp._unprotect
        decode, pcm = decoder._decode, opus._PCM
        for datagram, start in packets:
            size = length[0] = len(datagram)
            srtp._BUFFER[0:size] = datagram
            unprotect(context, cdata, length)
            size = length[0] - start
            decode(decoder._decoder, cdata + start, size, pcm, 2880, 0)

    def _play(self, frames: list[DownFrame]) -> None:
        now, play = self._now, self._media.frame_received
        for i, frame in enumerate(frames):
            self._clock.now = now + i * FRAME_S
            play(frame)

    def _encode_and_seal(self) -> None:
        sender, encoder = self._sender, self._encoder
        cdata, length = srtp._CDATA, srtp._LENGTH
        header = bytearray(rtp.build_header(111, 0, 0, 9, marker=False))
        for pcm in self._frames:
            self._sealed += 1
            header[2:4] = (self._sealed & 0xFFFF).to_bytes(2)
            srtp._BUFFER[0:12] = header
            size = encoder._encode(encoder._encoder, pcm, 480, cdata + 12, 1275)
            length[0] = 12 + size
            srtp._protect(sender._context, cdata, length)

    def _datagram_sent(self, data: bytes) -> None:
        self._sent += 1

    def _frame_up(self, frame: object) -> None:
        self._up += 1


def report(name: str, costs: list[Cost]) -> None:
    """Print one direction's medians."""
    whole = statistics.median(cost.whole for cost in costs)
    c_calls = statistics.median(cost.c_calls for cost in costs)
    ratio = statistics.median(cost.whole / cost.c_calls for cost in costs)
    print(
        f"{name:<44}{whole:>8.1f}{c_calls:>10.1f}{whole - c_calls:>9.1f}{ratio:>8.3f}"
        f"{costs[0].calls:>8.1f}"
    )


async def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    clock = Clock()
    benches = {case: Bench(clock, case) for case in CASES}
    gc.collect()
    gc.freeze()
    rounds = [
        {case: bench.round() for case, bench in benches.items()} for _ in range(ROUNDS)
    ]
    print(f"libopus: {opus.version()}; CPU us each, median of {ROUNDS} rounds")
    print(f"{'':<44}{'media':>8}{'C calls':>10}{'Python':>9}{'ratio':>8}{'calls':>8}")
    for case, name in zip(CASES[1:3], ("Opus", "RED"), strict=True):
        report(f"uplink packet, {name}", [costs[case][0] for costs in rounds])
    for case in CASES:
        report(f"downlink frame, {case.name}", [costs[case][1] for costs in rounds])
    for case in CASES:
        both = [
            Cost(*(up + down for up, down in zip(*costs[case], strict=True)))
            for costs in rounds
        ]
        report(f"full duplex, 20 ms, {case.name}", both)


if __name__ == "__main__":
    asyncio.run(main())
