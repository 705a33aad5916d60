"""What bursts save: a socket of many peers, read and written many at a time or not.

    python -m bench.udp [--peers 150] [--burst 18]

CPU of a datagram of 20 ms of voice, read and sent, the kernel's part of loopback in it.
Both ways run in turns in one process, so that their ratio means something on a busy
machine. An edge of 180 calls finds 18 datagrams at each look, one of 60 calls 6.
"""

import argparse
import asyncio
import socket
import statistics
import sys
import time
from typing import NamedTuple

from runtime import udp
from runtime.udp import UdpAddress, UdpSocket

ROUNDS = 15
BURSTS = 100
"""In a round."""

VOICE = bytes(230)
"""As long as 20 ms of 80 kbit/s in SRTP."""


class Cpu(NamedTuple):
    """Of a datagram, in microseconds."""

    read_us: float
    sent_us: float


class Line:
    """A socket, and the peers that it hears and answers.

    Args:
        peers: How many.
        in_bursts: Whether the system is asked for many datagrams at a time.
    """

    def __init__(self, peers: int, *, in_bursts: bool) -> None:
        has_bursts, udp.HAS_BURSTS = udp.HAS_BURSTS, in_bursts
        self.socket = UdpSocket("127.0.0.1", 0, self._received)
        udp.HAS_BURSTS = has_bursts
        self.peers = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(peers)]
        for peer in self.peers:
            peer.bind(("127.0.0.1", 0))
            peer.connect(self.socket.address)
        self._next = 0
        self._heard: list[UdpAddress] = []

    def _received(self, _: bytes, address: UdpAddress) -> None:
        self._heard.append(address)

    def round(self, burst: int) -> Cpu:
        """Have peers in turn be heard and answered; return what that took."""
        read_ns = sent_ns = 0
        for _ in range(BURSTS):
            peers = [self._turn() for _ in range(burst)]
            for peer in peers:
                peer.send(VOICE)
            began_ns = time.process_time_ns()
            self.socket._drain()
            read_ns += time.process_time_ns() - began_ns
            heard, self._heard = self._heard, []
            began_ns = time.process_time_ns()
            self.socket._outbox += [(VOICE, address) for address in heard]
            self.socket._send_all()
            sent_ns += time.process_time_ns() - began_ns
            for peer in peers:
                peer.recv(len(VOICE))
        datagrams = BURSTS * burst
        return Cpu(read_ns / datagrams / 1000, sent_ns / datagrams / 1000)

    def close(self) -> None:
        """Release all ports."""
        self.socket.close()
        for peer in self.peers:
            peer.close()

    def _turn(self) -> socket.socket:
        self._next = (self._next + 1) % len(self.peers)
        return self.peers[self._next]


async def main() -> int:
    """Measure and print; 1: nothing was compiled."""
    options = _options()
    if not udp.HAS_BURSTS:
        print("not compiled: run `make compile`", file=sys.stderr)
        return 1
    lines = [Line(options.peers, in_bursts=each) for each in (True, False)]
    rounds = [[line.round(options.burst) for line in lines] for _ in range(ROUNDS)]
    for line in lines:
        line.close()
    print(f"{'us of a datagram':20}{'in bursts':>12}{'one by one':>12}{'ratio':>8}")
    for name in Cpu._fields:
        pairs = [[getattr(cpu, name) for cpu in each] for each in rounds]
        ways = [statistics.median(column) for column in zip(*pairs, strict=True)]
        ratio = statistics.median(many / one for many, one in pairs)
        what = name.removesuffix("_us")
        print(f"{what:20}{ways[0]:12.2f}{ways[1]:12.2f}{ratio:8.2f}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench.udp", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--peers", type=int, default=150, help="(default: 150)")
    parser.add_argument(
        "--burst", type=int, default=18, help="datagrams at each look (default: 18)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
