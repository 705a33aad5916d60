"""What the forwarder costs and adds: `python -m bench.ingress [--seconds N]`.

Starts the forwarder as a process of its own and stands on both sides of it over
loopback: 200 clients' sockets, and one that is the transceiver. Half of the datagrams
go each way, 160 bytes each, more than a frame of speech in Opus has. Printed are:

- Packets a second and core, when as many are sent as it takes: forwarded datagrams by
  the CPU seconds of its process, the kernel's work for it included.
- Added delay at 20,000 a second, sent in bursts of 20 each 1 ms: from just before a
  datagram is sent to the kernel's time of its arrival, beside the same sent past the
  forwarder. How late the generator reads is not in it.

Where other work wants the processors, the delay is mostly the wait for one: a machine
of its own, or `chrt -f 10` before the command, shows the forwarder's part.

Linux only: the kernel's times and /proc are its own.
"""

import argparse
import asyncio
import base64
import contextlib
import os
import secrets
import select
import socket
import struct
import time
from pathlib import Path

import aioice.stun
import numpy as np
from numpy.typing import NDArray

from bench.load import cpu
from runtime.settings import link_keys
from tests.support.ingress import Ingress
from tests.support.services import free_ports
from transceiver.ingress.envelope import LABEL_BYTES, Labels
from transceiver.ingress.route import Routes

CLIENTS = 200
DATAGRAM_BYTES = 160
WINDOW = 400
"""Datagrams under way when as many as possible are sent: fewer than buffers hold."""

RATE_HZ = 20_000
STEP_S = 0.001
SO_TIMESTAMPNS = 35  # <asm-generic/socket.h>, Linux
BUFFER_BYTES = 4 * 1024 * 1024
MEDIA = b"\x80"
PADDING = bytes(DATAGRAM_BYTES - len(MEDIA) - 8)

Address = tuple[str, int]


class Ends:
    """The sockets on both sides of the forwarder.

    Attributes:
        delays_ns: Of each media datagram that came.
        sent: How many were sent.
    """

    def __init__(self, key: str) -> None:
        keys = link_keys(key)
        self._routes = Routes(*keys)
        self.owner = _udp()
        self.clients = [_udp() for _ in range(CLIENTS)]
        self.labels = [Labels(*keys).make(one.getsockname()) for one in self.clients]
        self.delays_ns: list[int] = []
        self.sent = 0
        self._turn = 0
        self._by_file = {one.fileno(): one for one in (self.owner, *self.clients)}
        self._poll = select.epoll()
        for file in self._by_file:
            self._poll.register(file, select.EPOLLIN)

    def open_flows(self, public: Address, inner: Address) -> None:
        """Have each client's flow made, and proven."""
        for client, label in zip(self.clients, self.labels, strict=True):
            message = aioice.stun.Message(
                message_method=aioice.stun.Method.BINDING,
                message_class=aioice.stun.Class.REQUEST,
            )
            ufrag = self._routes.mint(self.owner.getsockname())
            message.attributes["USERNAME"] = f"{ufrag}:abcd"
            client.sendto(bytes(message), public)
            self.owner.sendto(label + b"\x01\x01" + bytes(18), inner)
            self.read(0.001)

    def send_past(self) -> None:
        """Send one each way, the forwarder left out."""
        client = self._next()
        client.sendto(bytes(LABEL_BYTES) + _stamped(), self.owner.getsockname())
        self.owner.sendto(_stamped(), client.getsockname())

    def send_through(self, public: Address, inner: Address) -> None:
        """Send one each way."""
        client = self._next()
        client.sendto(_stamped(), public)
        self.owner.sendto(self.labels[self._turn] + _stamped(), inner)

    def read(self, timeout_s: float = 0.0) -> None:
        """Take in all that has come."""
        for file, _ in self._poll.poll(timeout_s):
            one = self._by_file[file]
            skipped = LABEL_BYTES if one is self.owner else 0
            with contextlib.suppress(BlockingIOError):
                while True:
                    data, ((_, _, arrived), *_), _, _ = one.recvmsg(2048, 64)
                    if data[skipped : skipped + 1] == MEDIA:
                        seconds, rest = struct.unpack("=qq", arrived)
                        (sent_ns,) = struct.unpack_from("=q", data, skipped + 1)
                        self.delays_ns.append(seconds * 10**9 + rest - sent_ns)

    def _next(self) -> socket.socket:
        self.sent += 2
        self._turn = (self._turn + 1) % CLIENTS
        return self.clients[self._turn]


def _stamped() -> bytes:
    return MEDIA + struct.pack("=q", time.time_ns()) + PADDING


def _udp() -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setblocking(False)
    one.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        one.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
    one.bind(("127.0.0.1", 0))
    return one


def flooded(key: str, ingress: Ingress, pid: int, seconds: float) -> str:
    """Send as many as it takes; return what that was."""
    ends, addresses = Ends(key), ingress.addresses
    ends.open_flows(*addresses)
    began_s, spent_s = time.monotonic(), cpu.spent_s(pid)
    lost = 0
    while time.monotonic() < began_s + seconds:
        if ends.sent - len(ends.delays_ns) - lost < WINDOW:
            for _ in range(20):
                ends.send_through(*addresses)
        before = len(ends.delays_ns)
        ends.read(0.1 if ends.sent - before - lost >= WINDOW else 0.0)
        if ends.sent - before - lost >= WINDOW and len(ends.delays_ns) == before:
            lost = ends.sent - before  # none came for 0.1 s
    wall_s, spent_s = time.monotonic() - began_s, cpu.spent_s(pid) - spent_s
    count = len(ends.delays_ns)
    return (
        f"{count / spent_s:8,.0f} packets a second and core "
        f"({spent_s / count * 1e6:.1f} us each; {count / wall_s:,.0f} a second at "
        f"{spent_s / wall_s:.0%} of a core; {ends.sent - count:,} lost or under way)"
    )


def paced(key: str, ingress: Ingress | None, seconds: float) -> NDArray[np.int64]:
    """Send at a steady rate; return the delays in ns."""
    ends = Ends(key)
    if ingress is not None:
        ends.open_flows(*ingress.addresses)
    pairs = int(RATE_HZ * STEP_S / 2)
    due_s = time.monotonic()
    for _ in range(int(seconds / STEP_S)):
        due_s += STEP_S
        for _ in range(pairs):
            if ingress is None:
                ends.send_past()
            else:
                ends.send_through(*ingress.addresses)
        ends.read()
        time.sleep(max(0.0, due_s - time.monotonic()))
    time.sleep(0.2)
    ends.read()
    return np.array(ends.delays_ns)


def row(name: str, delays_ns: NDArray[np.int64]) -> str:
    """Return the quantiles of delays as a line."""
    figures = np.quantile(delays_ns, (0.5, 0.95, 0.99, 0.999)) / 1e6
    return f"{name:22}" + "".join(f"{figure:8.3f}" for figure in figures)


def waited_s(pid: int) -> float:
    """Return the seconds that a process has waited for a processor others had."""
    schedule = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii")
    return int(schedule.split()[1]) / 1e9


async def measure(seconds: float) -> None:
    """Run the forwarder, and print its figures."""
    (public,) = free_ports(1)
    ingress = Ingress(public)
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    ingress.environ = {**os.environ, "TANDEM_LINK_KEY": key}
    await ingress.start()
    assert ingress.process is not None
    try:
        pid = ingress.process.pid
        print(await asyncio.to_thread(flooded, key, ingress, pid, seconds))
        spent_s, idle_s = cpu.spent_s(pid), waited_s(pid)
        through = await asyncio.to_thread(paced, key, ingress, seconds)
        spent_s, idle_s = cpu.spent_s(pid) - spent_s, waited_s(pid) - idle_s
        past = await asyncio.to_thread(paced, key, None, seconds)
    finally:
        await ingress.process.stop()
    print(
        f"\n{RATE_HZ:,} packets a second, {spent_s / seconds:.0%} of a core,", end=" "
    )
    print(f"{1 - len(through) / (RATE_HZ * seconds):.3%} lost; delay in ms")
    print(f"{'':22}{'p50':>8}{'p95':>8}{'p99':>8}{'p99.9':>8}")
    print(row("through the forwarder", through))
    print(row("past it", past))
    added_ms = (np.quantile(through, 0.99) - np.median(past)) / 1e6
    print(f"added, at p99: {added_ms:.2f} ms", end=" ")
    print(f"(its process waited for a processor {idle_s / seconds:.0%} of the time)")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measure")
    asyncio.run(measure(parser.parse_args().seconds))


if __name__ == "__main__":
    main()
