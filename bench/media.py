"""CPU of the media path per packet and per frame, beside its C calls alone.

    python -m bench.media

Both columns are measured in turns within one run, so that their ratio means something
on a busy machine. `C calls` is what no Python can save: SRTP in place and Opus, called
with the same data through the same bindings.
"""

import asyncio
import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pylibsrtp import Policy, Session

from codec import opus
from codec.opus import Decoder, Encoder
from proto.frames import FRAME_BYTES, FRAME_MS, FRAME_SAMPLES, DownFrame
from tests.support.sound import babble
from transceiver import rtp, srtp
from transceiver.media import Media, MediaKeys
from transceiver.srtp import SrtpReceiver, SrtpSender
from transceiver.timer import SharedTimer

ROUNDS = 15
PACKETS = 500
FRAME_S = FRAME_MS / 1000
PROFILE = Policy.SRTP_PROFILE_AEAD_AES_128_GCM


class Cost(NamedTuple):
    """CPU microseconds per packet or frame."""

    whole: float
    c_calls: float


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


class Bench:
    """The same audio through the media path and through its C calls alone."""

    def __init__(self, timer: SharedTimer) -> None:
        self._frames = speech(PACKETS)
        self._up = 0
        self._sent = 0
        self._media = Media(
            MediaKeys(
                inbound=session(Policy.SSRC_ANY_INBOUND),
                outbound=session(Policy.SSRC_ANY_OUTBOUND),
                local_ssrc=1,
                payload_type=111,
                cname="bench",
            ),
            self._datagram_sent,
            self._frame_up,
            timer,
            random.Random(1),
        )
        self._protect = session(Policy.SSRC_ANY_OUTBOUND)
        self._caller = Encoder()
        self._caller.set_expected_loss(5)
        self._receiver = SrtpReceiver(session(Policy.SSRC_ANY_INBOUND))
        self._sender = SrtpSender(session(Policy.SSRC_ANY_OUTBOUND))
        self._decoder = Decoder()
        self._encoder = Encoder()
        self._encoder.set_expected_loss(5)
        self._sequence = 0
        self._sealed = 0
        self._talkspurt = 0
        self._now = timer.now()

    def rounds(self) -> Iterator[tuple[Cost, Cost]]:
        """Yield the uplink's and the downlink's costs of each round."""
        for _ in range(ROUNDS):
            yield self._uplink(), self._downlink()
            self._now += (PACKETS + 1) * FRAME_S

    def _uplink(self) -> Cost:
        datagrams = [self._datagram(frame) for frame in self._frames]
        self._up = 0
        whole = cpu_us(lambda: self._receive(datagrams), PACKETS)
        assert self._up == PACKETS
        return Cost(whole, cpu_us(lambda: self._open_and_decode(datagrams), PACKETS))

    def _downlink(self) -> Cost:
        self._talkspurt += 1
        frames = [
            DownFrame(self._talkspurt, i * FRAME_SAMPLES, 0, pcm)
            for i, pcm in enumerate(self._frames)
        ]
        self._sent = 0
        whole = cpu_us(lambda: self._play(frames), PACKETS)
        assert self._sent >= PACKETS
        return Cost(whole, cpu_us(self._encode_and_seal, PACKETS))

    def _datagram(self, pcm: bytes) -> bytes:
        self._sequence += 1
        header = rtp.build_header(
            111, self._sequence, self._sequence * 960, 7, marker=False
        )
        return self._protect.protect(header + self._caller.encode(pcm))

    def _receive(self, datagrams: list[bytes]) -> None:
        now, receive = self._now, self._media.datagram_received
        for i, datagram in enumerate(datagrams):
            receive(datagram, now + i * FRAME_S)

    def _open_and_decode(self, datagrams: list[bytes]) -> None:
        receiver, decoder = self._receiver, self._decoder
        cdata, length = receiver._cdata, receiver._length
        context, unprotect = receiver._context, srtp._unprotect
        decode, pcm = decoder._decode, decoder._pcm
        for datagram in datagrams:
            size = length[0] = len(datagram)
            receiver._buffer[0:size] = datagram
            unprotect(context, cdata, length)
            decode(decoder._decoder, cdata + 12, length[0] - 12, pcm, 2880, 0)

    def _play(self, frames: list[DownFrame]) -> None:
        now, play = self._now, self._media.play
        for i, frame in enumerate(frames):
            play(frame, now + i * FRAME_S)

    def _encode_and_seal(self) -> None:
        sender, encoder = self._sender, self._encoder
        cdata, length = sender._cdata, sender._length
        header = bytearray(rtp.build_header(111, 0, 0, 9, marker=False))
        for pcm in self._frames:
            self._sealed += 1
            header[2:4] = (self._sealed & 0xFFFF).to_bytes(2)
            sender._buffer[0:12] = header
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
        f"{name:<22}{whole:>10.1f}{c_calls:>12.1f}{whole - c_calls:>10.1f}{ratio:>9.3f}"
    )


async def main() -> None:
    """Measure and print."""
    timer = SharedTimer(asyncio.get_running_loop())
    bench = Bench(timer)
    gc.collect()
    gc.freeze()
    ups, downs = zip(*bench.rounds(), strict=True)
    print(f"libopus: {opus.version()}; CPU us each, median of {ROUNDS} rounds")
    print(f"{'':<22}{'media':>10}{'C calls':>12}{'Python':>10}{'ratio':>9}")
    report("uplink packet", list(ups))
    report("downlink frame, cx 5", list(downs))
    both = [
        Cost(up.whole + down.whole, up.c_calls + down.c_calls)
        for up, down in zip(ups, downs, strict=True)
    ]
    report("full duplex, 20 ms", both)


if __name__ == "__main__":
    asyncio.run(main())
