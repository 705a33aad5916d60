"""A rough path on loopback: a UDP forwarder that delays, loses and doubles, by a seed.

It stands between one client and one server. `netem.Path` decides the fate of each
datagram; here real time passes.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from tests.support.netem import Path

Address = tuple[str, int]


class _Side(asyncio.DatagramProtocol):
    """One of the two sockets; what comes in goes on by the other."""

    def __init__(self, path: Path, address: Address | None) -> None:
        self.peer = address
        self.transport: asyncio.DatagramTransport | None = None
        self._path = path
        self._forward: Callable[[bytes], None] | None = None

    def join(self, other: "_Side") -> None:
        """Send by the other side what this one receives."""
        self._forward = other.send

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        assert self._forward is not None
        self.peer = addr
        loop = asyncio.get_running_loop()
        for at in self._path.arrivals(loop.time()):
            loop.call_at(at, self._forward, data)

    def send(self, data: bytes) -> None:
        """Send to whom this side last heard of."""
        assert self.transport is not None
        if self.peer is not None and not self.transport.is_closing():
            self.transport.sendto(data, self.peer)


@contextlib.asynccontextmanager
async def rough_path(server: Address, up: Path, down: Path) -> AsyncIterator[Address]:
    """Give the address at which one client finds the server over a rough path."""
    loop = asyncio.get_running_loop()
    front, back = _Side(up, None), _Side(down, server)
    front.join(back)
    back.join(front)
    for side in (front, back):
        await loop.create_datagram_endpoint(
            lambda side=side: side,  # type: ignore[misc]  # a lambda's default has no type
            local_addr=("127.0.0.1", 0),
        )
    try:
        assert front.transport is not None
        yield front.transport.get_extra_info("sockname")
    finally:
        for side in (front, back):
            assert side.transport is not None
            side.transport.close()
