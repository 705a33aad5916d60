"""CPU of one audio frame over the link, sent and received, beside plain msgpack.

Both ways use a real loopback socket and `runtime.udp.UdpSocket`, as the services do.
The link's figure includes sealing, history, order, and the session's callback; plain
msgpack packs the same fields, sends them, and unpacks them into the same callback.
What is sent leaves the socket as its turn of the loop ends, so `sendto` is in the
column of what is received. Prints microseconds of this process's CPU a frame, the
median of many rounds, and the ratios to plain msgpack of the same run; then the same
for the other payload, with the bytes of a datagram, UDP and IPv4 headers included.
Coding Opus is not in it.

    python -m bench.link
"""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Callable

import msgpack
import uvloop

from codec.opus import Encoder
from proto import wire
from proto.errors import CloseCode
from proto.frames import FRAME_BYTES, FRAME_SAMPLES, DownFrame, UpFrame
from proto.payload import Payload
from proto.udp import Dialer, LinkSession, Listener
from runtime.settings import Address
from runtime.udp import UdpAddress, UdpSocket
from tests.support.sound import babble

SESSIONS = 50
FRAMES_A_ROUND = 200
ROUNDS = 60
PCM = os.urandom(FRAME_BYTES)
UDP_IP_BYTES = 28
"""Headers of UDP (RFC 768) and IPv4 (RFC 791) on each datagram."""


def opus_frame() -> bytes:
    """Return a packet of average size of a voice, as the services encode it."""
    encoder, pcm = Encoder(), babble(4.0, seed=1)
    payloads = [
        encoder.encode(pcm[start : start + FRAME_SAMPLES].tobytes())
        for start in range(0, len(pcm), FRAME_SAMPLES)
    ]
    return sorted(payloads, key=len)[len(payloads) // 2]


class Counter:
    """Receives a session and counts its frames."""

    def __init__(self) -> None:
        self.frames = 0

    def opened(self) -> None:
        """Do nothing."""

    def event_received(self, payload: bytes) -> None:
        """Do nothing."""

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        """Count."""
        self.frames += 1

    def frames_lost(self, count: int) -> None:
        """Do nothing: the round would not end."""

    def flush_requested(self, talkspurt: int) -> None:
        """Do nothing."""

    def flush_done(self, talkspurt: int, heard_samples: int) -> None:
        """Do nothing."""

    def closed(self, code: CloseCode, reason: str) -> None:
        """Do nothing."""


async def measure(
    name: str, send: Callable[[int], None], counters: list[Counter]
) -> tuple[float, float]:
    """Print and return microseconds for a frame sent and for one received."""
    sent_us, received_us = [], []
    for number in range(ROUNDS):
        wanted = sum(counter.frames for counter in counters) + FRAMES_A_ROUND
        start = time.process_time()
        for index in range(FRAMES_A_ROUND):
            send(number * FRAMES_A_ROUND + index)
        middle = time.process_time()
        while sum(c.frames for c in counters) < wanted:  # noqa: ASYNC110  # measured
            await asyncio.sleep(0)
        end = time.process_time()
        sent_us.append((middle - start) / FRAMES_A_ROUND * 1e6)
        received_us.append((end - middle) / FRAMES_A_ROUND * 1e6)
    result = statistics.median(sent_us), statistics.median(received_us)
    print(f"{name:22} sent {result[0]:6.2f} us   received {result[1]:6.2f} us")
    return result


async def plain() -> tuple[float, float]:
    """Measure msgpack over UDP without sealing or repair."""
    counter = Counter()

    def take(data: bytes, _: UdpAddress) -> None:
        counter.frame_received(UpFrame(*msgpack.unpackb(data)[2:]))

    receiver = UdpSocket("127.0.0.1", 0, take)
    sender = UdpSocket("127.0.0.1", 0, lambda data, address: None)
    pack, target = msgpack.Packer().pack, receiver.address

    def send(index: int) -> None:
        frame = UpFrame(index * FRAME_SAMPLES, 1, index, PCM)
        sender.send(pack((1, index, *frame)), target)

    try:
        return await measure("plain msgpack over UDP", send, [counter])
    finally:
        receiver.close()
        sender.close()


async def link(
    payload: Payload, sound: bytes
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Measure the link, uplink and downlink, and print the bytes of a datagram."""
    relay_ends: list[LinkSession] = []
    ups = [Counter() for _ in range(SESSIONS)]
    downs = [Counter() for _ in range(SESSIONS)]

    def accept(session: LinkSession, request: bytes) -> Counter:
        relay_ends.append(session)
        session.accept(payload)
        return ups[len(relay_ends) - 1]

    key = os.urandom(32)
    listener = Listener(Address("127.0.0.1", 0), key, accept)
    dialer = Dialer(listener.address, key, payloads=(payload,))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(end.run()) for end in (listener, dialer)]
        while not dialer.is_up:  # noqa: ASYNC110  # set-up only
            await asyncio.sleep(0.01)
        edge_ends = [dialer.open_session(b"{}", down) for down in downs]
        while not all(s.is_open for s in edge_ends):  # noqa: ASYNC110  # set-up only
            await asyncio.sleep(0.01)

        def send_up(index: int) -> None:
            frame = UpFrame(index * FRAME_SAMPLES, 1, index, sound)
            edge_ends[index % SESSIONS].send_up(frame)

        def send_down(index: int) -> None:
            frame = DownFrame(1, index * FRAME_SAMPLES, 150, sound)
            relay_ends[index % SESSIONS].send_down(frame)

        name = payload.name
        figures = (
            await measure(f"link, {name} up", send_up, ups),
            await measure(f"link, {name} down", send_down, downs),
        )
        for task in tasks:
            task.cancel()
    return figures


def datagram_bytes(sound: bytes) -> int:
    """Return the bytes of an uplink frame ten minutes into a call, headers included."""
    seq = 10 * 60 * 50
    frame = UpFrame(seq * FRAME_SAMPLES, 20, 100_000, sound)
    plaintext = wire.encode_up(SESSIONS, seq, frame)
    return UDP_IP_BYTES + wire.HEADER_BYTES + len(plaintext) + wire.TAG_BYTES


async def main() -> None:
    """Print both and their ratios."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    bare = await plain()
    for payload, sound in ((Payload.PCM, PCM), (Payload.OPUS, opus_frame())):
        both = await link(payload, sound)
        for name, figures in zip(("uplink", "downlink"), both, strict=True):
            ratios = [ours / theirs for ours, theirs in zip(figures, bare, strict=True)]
            print(f"{name}: sent {ratios[0]:.2f}, received {ratios[1]:.2f} times plain")
        print(f"{payload.name}: {datagram_bytes(sound)} bytes a frame")


if __name__ == "__main__":
    uvloop.run(main())
