"""A non-blocking UDP socket read in bursts from one event-loop callback.

No task, queue or future per datagram: the callback gets each datagram as it is read.
A full send buffer drops the datagram, as a network would, and counts it.
"""

import asyncio
import socket
from collections.abc import Callable

BURST = 64
"""Datagrams read before the loop gets its turn (measured: costs nothing)."""

BUFFER_BYTES = 4 * 1024 * 1024
"""Kernel buffer asked for: 1 s of 4,000 datagrams of 1,000 bytes."""

MAX_DATAGRAM_BYTES = 2048
"""Larger than any datagram of ours or of WebRTC (both keep to about 1,200)."""

UdpAddress = tuple[str, int]


class UdpSocket:
    """One bound socket; `on_datagram(data, address)` runs in the loop, must not raise.

    Raises:
        OSError: The address cannot be bound; names it.
    """

    def __init__(
        self, host: str, port: int, on_datagram: Callable[[bytes, UdpAddress], None]
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self._socket.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            where = f"UDP {host} port {port}: {error.strerror}"
            raise OSError(error.errno, where) from None
        self._on_datagram = on_datagram
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._drain)
        self.dropped_sends = 0

    @property
    def address(self) -> UdpAddress:
        """The bound host and port."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    def send(self, data: bytes | bytearray | memoryview, address: UdpAddress) -> None:
        """Send now or never."""
        try:
            self._socket.sendto(data, address)
        except OSError:  # full buffer, or an ICMP error left by an earlier datagram
            self.dropped_sends += 1

    def close(self) -> None:
        """Stop reading and release the port."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _drain(self) -> None:
        receive, deliver = self._socket.recvfrom, self._on_datagram
        for _ in range(BURST):
            try:
                data, address = receive(MAX_DATAGRAM_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue  # an ICMP error reported here; the next read is clean
            deliver(data, address[:2])
            if self._socket.fileno() < 0:
                return
