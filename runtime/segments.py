"""Datagrams of one peer many at a time: UDP segmentation offload, where Linux has it.

Datagrams of one size to one address enter the kernel as one, go through it as one and
are cut at its far end (UDP_SEGMENT, Linux 4.18); whoever reads may get those of one
sender in one again (UDP_GRO, 5.0). On the wire nothing is different. At 8 in a call,
sending takes a fifth of the CPU and reading two thirds; to read one alone takes a
quarter more (loopback, 1,050 bytes).
"""

import errno
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Iterator

UDP_SEGMENT = 103
"""Control message: the size of each datagram of this call (linux/udp.h)."""

UDP_GRO = 104
"""Socket option, and control message: they come as one, of that size (linux/udp.h)."""

MAX_RUN = 64
"""Datagrams in one call (UDP_MAX_SEGMENTS of Linux before 6.9)."""

MAX_RUN_BYTES = 65_000
"""Of all in one call, below what the length in one IP header can say."""

READ_BYTES = 1 << 16
"""Room for any run."""

REFUSALS = frozenset(
    (errno.EINVAL, errno.EIO, errno.EMSGSIZE, errno.EOPNOTSUPP, errno.ENOPROTOOPT)
)
"""Errors of a path that takes no runs: its device or the system cannot, or datagrams
exceed its MTU (EMSGSIZE; EINVAL before Linux 6.14); one by one they go in fragments.
"""

REFUSED_S = 60.0
"""Until an address that took no run is tried again: paths change, a try is cheap."""

MAX_REFUSED = 1024
"""Addresses known to take no runs."""

_CONTROL_BYTES = socket.CMSG_SPACE(struct.calcsize("=i"))

Data = bytes | bytearray | memoryview
Peer = tuple[str, int]


def accept(receiver: socket.socket) -> bool:
    """Have what one sender sends read many at a time; tell whether the system can."""
    if sys.platform != "linux":
        return False
    try:
        receiver.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
        # Some systems that only look like Linux take any option, and heed none.
        return bool(receiver.getsockopt(socket.IPPROTO_UDP, UDP_GRO))
    except OSError:
        return False


def runs(
    outbox: Iterable[tuple[Data, Peer]],
) -> Iterator[tuple[list[Data], Peer]]:
    """Cut datagrams into what one call can send, in order.

    All of a run are as long as its first; only its last may be shorter.
    """
    run: list[Data] = []
    to: Peer = ("", 0)
    room_bytes = size_bytes = 0
    for data, address in outbox:
        length = len(data)
        if room_bytes < length or length > size_bytes or to != address or not length:
            if run:
                yield run, to
            run, to, size_bytes = [], address, length
            room_bytes = min(MAX_RUN * length, MAX_RUN_BYTES)
        run.append(data)
        room_bytes = room_bytes - length if length == size_bytes else 0
    if run:
        yield run, to


def send(sender: socket.socket, run: list[Data], address: Peer) -> None:
    """Send a run in one call.

    Raises:
        OSError: Nothing of it was sent; one by one it may be.
    """
    size = struct.pack("=H", len(run[0]))
    sender.sendmsg(run, ((socket.IPPROTO_UDP, UDP_SEGMENT, size),), 0, address)


def receive(
    receiver: socket.socket, buffer: bytearray, is_ours: Callable[[bytes], bool]
) -> Iterator[tuple[bytes, Peer]]:
    """Read once; return the datagrams that came so.

    A stranger's run costs no more than a datagram does: of tiny ones the kernel's
    buffer holds 600,000, and what came behind them would be late by half a second.

    Args:
        receiver: A socket that accepts runs.
        buffer: Room for a run.
        is_ours: Tells by the first of a run whether the rest are wanted.

    Raises:
        OSError: Nothing was read.
    """
    count, control, _, address = receiver.recvmsg_into((buffer,), _CONTROL_BYTES)
    size = struct.unpack("=i", control[0][2])[0] if control else count
    run = memoryview(buffer)[:count]
    first = bytes(run[:size])
    yield first, address
    if size < count and is_ours(first):
        for start in range(size, count, size):
            yield bytes(run[start : start + size]), address


class Refused:
    """Addresses that take no runs, each for a while: other peers keep theirs. Pure.

    When it is full all are forgotten, and one run of each is tried again.
    """

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[Peer, float] = {}

    def add(self, address: Peer, now: float) -> None:
        """Note that a run was refused."""
        if len(self._until) >= MAX_REFUSED:
            self._until.clear()
        self._until[address] = now + REFUSED_S

    def covers(self, address: Peer, now: float) -> bool:
        """Return whether what this address gets is to be sent one by one."""
        until = self._until.get(address)
        if until is None:
            return False
        if until <= now:
            del self._until[address]
        return until > now
