"""A non-blocking UDP socket read in bursts from one event-loop callback.

No task, queue or future per datagram: the callback gets each datagram as it is read.
A full send buffer drops the datagram, as a network would, and counts it.

Each burst is read, then worked on, then what came of it is sent: whoever gets that is
woken once, and code and data stay warm (a tenth less CPU than one by one). A socket is
watched, and read as soon as something comes; one that many callers send to may be
looked at in ticks of 2 ms while it is busy, for to wake a process costs as much as some
datagrams do: batches of 12 take two thirds of the CPU of batches of 3. The system is
asked for many datagrams at a time where it can be: for those of one peer (`segments`)
where peers are few, else for those of many (`bursts`, where that was compiled).
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from itertools import repeat

from runtime import segments
from runtime.segments import Data

try:
    from runtime import bursts

    HAS_BURSTS = True
except ImportError:  # not compiled
    HAS_BURSTS = False

log = logging.getLogger(__name__)

BURST = 64
"""Datagrams read before the loop gets its turn (measured: costs nothing)."""

BUFFER_BYTES = 4 * 1024 * 1024
"""Kernel buffer asked for: 1 s of 4,000 datagrams of 1,000 bytes."""

MAX_DATAGRAM_BYTES = 2048
"""Larger than any datagram of ours or of WebRTC (both keep to about 1,200)."""

TICK_S = 0.002
"""Between two looks at a busy socket: 1 ms of delay on average, on a 20 ms frame."""

PHASE_S = TICK_S / 2
"""When in the clock's even milliseconds: who sends on them waits no whole tick."""

JUDGED_S = 0.1
"""How long a socket is observed before it is found to be busy, or not busy any more."""

UdpAddress = tuple[str, int]


def tick_after(now: float) -> float:
    """Return when the next tick is, seconds.

    In whole milliseconds, as uvloop counts: a fraction of one before its due time a
    tick would be found due, and another at once, until the millisecond is over.
    """
    tick_ms, phase_ms = round(TICK_S * 1000), round(PHASE_S * 1000)
    now_ms = int(now * 1000 + 0.001)
    return ((now_ms - phase_ms) // tick_ms * tick_ms + tick_ms + phase_ms) / 1000


class Cadence:
    """Whether a socket is to be watched or looked at in ticks. Pure.

    Ticks begin when it would wake the loop more often than they do, and end when fewer
    than every other one finds a datagram.
    """

    __slots__ = ("_began_at", "_found", "_looks")

    def __init__(self, now: float) -> None:
        self._began_at = now
        self._looks = 0
        self._found = 0

    def woken(self, now: float) -> bool:
        """Note that the socket woke the loop; return whether to begin ticks."""
        self._looks += 1
        elapsed_s = now - self._began_at
        if elapsed_s < JUDGED_S:
            return False
        is_busy = self._looks * TICK_S > elapsed_s
        self._begin_anew(now)
        return is_busy

    def ticked(self, found: int, now: float) -> bool:
        """Note what a tick found; return whether to go on with ticks."""
        self._looks += 1
        self._found += found
        if now - self._began_at < JUDGED_S:
            return True
        is_busy = 2 * self._found > self._looks
        self._begin_anew(now)
        return is_busy

    def _begin_anew(self, now: float) -> None:
        self._began_at = now
        self._looks = self._found = 0


class UdpSocket:
    """One bound socket; `on_datagram(data, address)` runs in the loop.

    It must not raise: that is our bug, is logged, and costs that datagram alone.

    Args:
        host: Address to bind.
        port: Port to bind; 0 lets the system choose.
        on_datagram: What gets each datagram.
        in_ticks: Look at it in ticks while it is busy.
        runs_of: Send and read many at a time, where the system and the path can; tells
            by the first that was read so whether the rest are for us.

    Raises:
        OSError: The address cannot be bound; names it.
    """

    def __init__(
        self,
        host: str,
        port: int,
        on_datagram: Callable[[bytes, UdpAddress], None],
        *,
        in_ticks: bool = False,
        runs_of: Callable[[bytes], bool] | None = None,
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
        self.on_datagram = on_datagram
        self._loop = asyncio.get_running_loop()
        self._cadence = Cadence(self._loop.time())
        self._next_tick: asyncio.Handle | None = None
        self._outbox: list[tuple[Data, UdpAddress]] = []
        self._in_runs = runs_of is not None and segments.accept(self._socket)
        self._is_ours = runs_of or bool
        self._refused = segments.Refused()
        self._buffer = bytearray(segments.READ_BYTES if self._in_runs else 0)
        self._in_bursts = HAS_BURSTS and family is socket.AF_INET
        self._read = self._read_one
        if self._in_runs:
            self._read = self._read_run
        elif self._in_bursts:
            self._read = self._read_burst
        woken = self._wake if in_ticks else self._drain
        self._loop.add_reader(self._socket.fileno(), woken)
        self.dropped_sends = 0

    @property
    def address(self) -> UdpAddress:
        """The bound host and port."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    def send(self, data: Data, address: UdpAddress) -> None:
        """Send now or never: as this turn of the loop ends, with all else of it."""
        if not self._outbox:
            self._loop.call_soon(self._send_all)
        self._outbox.append((data, address))

    def close(self) -> None:
        """Send what is to be sent, stop reading, and release the port."""
        if self._socket.fileno() < 0:
            return
        if self._next_tick is None:
            self._loop.remove_reader(self._socket.fileno())
        else:
            self._next_tick.cancel()
        self._send_all()
        self._socket.close()

    def _send_all(self) -> None:
        outbox, self._outbox = self._outbox, []
        if not self._in_runs:
            self._send_each(outbox)
            return
        for run, address in segments.runs(outbox):
            if len(run) == 1 or not self._sent_as_one(run, address):
                self._send_each(zip(run, repeat(address)))

    def _sent_as_one(self, run: list[Data], address: UdpAddress) -> bool:
        """Send a run, all or nothing; return whether it was sent."""
        if self._refused.covers(address, self._loop.time()):
            return False
        try:
            segments.send(self._socket, run, address)
        except OSError as error:
            if error.errno in segments.REFUSALS:
                self._refused.add(address, self._loop.time())
            return False
        return True

    def _send_each(self, outbox: Iterable[tuple[Data, UdpAddress]]) -> None:
        if self._in_bursts:
            self.dropped_sends += bursts.send(self._socket.fileno(), outbox)
            return
        send = self._socket.sendto
        for data, address in outbox:
            try:
                send(data, address)
            except OSError:  # full buffer, or an ICMP error left by an earlier datagram
                self.dropped_sends += 1

    def _wake(self) -> None:
        self._drain()
        if self._socket.fileno() >= 0 and self._cadence.woken(self._loop.time()):
            self._loop.remove_reader(self._socket.fileno())
            self._await_tick(0)

    def _tick(self) -> None:
        found = self._drain()
        if self._socket.fileno() < 0:
            return
        if self._cadence.ticked(found, self._loop.time()):
            self._await_tick(found)
        else:
            self._next_tick = None
            self._loop.add_reader(self._socket.fileno(), self._wake)

    def _await_tick(self, found: int) -> None:
        """Look again at the next tick of the clock, or at once if there was more."""
        if found >= BURST:
            self._next_tick = self._loop.call_soon(self._tick)
            return
        self._next_tick = self._loop.call_at(tick_after(self._loop.time()), self._tick)

    def _drain(self) -> int:
        """Take a burst, or the run that fills it; return how many datagrams."""
        read, deliver = self._read, self.on_datagram
        burst: list[tuple[bytes, UdpAddress]] = []
        for _ in range(BURST):
            try:
                is_all = read(burst)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                continue  # an ICMP error reported here; the next read is clean
            if is_all or len(burst) >= BURST:
                break
        for data, address in burst:
            try:
                deliver(data, address[:2])
            except Exception:  # a bug in one call must not end the reading for all
                log.exception("datagram failed")
            if self._socket.fileno() < 0:
                break
        return len(burst)

    def _read_one(self, burst: list[tuple[bytes, UdpAddress]]) -> bool:
        burst.append(self._socket.recvfrom(MAX_DATAGRAM_BYTES))
        return False

    def _read_run(self, burst: list[tuple[bytes, UdpAddress]]) -> bool:
        burst.extend(segments.receive(self._socket, self._buffer, self._is_ours))
        return False

    def _read_burst(self, burst: list[tuple[bytes, UdpAddress]]) -> bool:
        """Read many; return whether that was all there was."""
        return bursts.receive(self._socket.fileno(), burst) < bursts.MAX_DATAGRAMS
