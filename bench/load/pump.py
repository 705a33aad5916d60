"""One clock for all calls: what is due is sent, what has come is read.

A call's frames are due at the phase of the clock at which the call began, so that calls
are no more in step than callers are. Sockets are asked about when something is due, all
at once: waking for each datagram would cost more than the datagram.
"""

import asyncio
import heapq
import itertools
import select
from array import array

from bench.load.line import Line
from proto.frames import FRAME_MS

STEP_MS = 2
"""The clock's step: each waking costs as much as sending five packets (measured)."""

STEP_S = STEP_MS / 1000
EARLY_S = 0.0001
"""How early a step may be: by the rounding of the clock, not by one of its ticks."""
PHASES = FRAME_MS // STEP_MS


class Pump:
    """Drives lines from their joining to their leaving.

    What an emulated network delays waits here; its delay bounds how much that is.

    Attributes:
        lateness_ms: How late each step began: shows an overloaded generator.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._wheel: list[list[Line]] = [[] for _ in range(PHASES)]
        self._by_fd: dict[int, Line] = {}
        self._ready = select.epoll()
        self._delayed: list[tuple[float, int, Line, bytes]] = []
        self._order = itertools.count()
        self._due_s = self._loop.time()
        self._step = int(self._due_s / STEP_S)
        self._timer = self._loop.call_soon(self._turn)
        self.lateness_ms = array("f")

    def join(self, line: Line) -> None:
        """Begin a call's media in this step."""
        self._by_fd[line.socket.fileno()] = line
        self._ready.register(line.socket.fileno(), select.EPOLLIN)
        self._wheel[self._step % PHASES].append(line)
        self._timer.cancel()
        self._timer = self._loop.call_soon(self._turn)

    def leave(self, line: Line) -> None:
        """End a call's media; its socket is still open."""
        if self._by_fd.pop(line.socket.fileno(), None) is line:
            self._ready.unregister(line.socket.fileno())
        for phase in self._wheel:
            if line in phase:
                phase.remove(line)

    def close(self) -> None:
        """Stop the clock."""
        self._timer.cancel()
        self._ready.close()

    def _turn(self) -> None:
        now = self._loop.time() + EARLY_S
        self.lateness_ms.append(1000 * (now - self._due_s))
        while self._step * STEP_S <= now:
            phase = self._wheel[self._step % PHASES]
            self._step += 1
            for line in phase:
                self._speak(line, now)
        while self._delayed and self._delayed[0][0] <= now:
            _, _, line, datagram = heapq.heappop(self._delayed)
            line.send(datagram)
        for fd, _ in self._ready.poll(0):
            self._by_fd[fd].receive()
        self._due_s = self._next_s()
        self._timer = self._loop.call_at(self._due_s, self._turn)

    def _next_s(self) -> float:
        """Return when there is something to do: steps of no call are slept over."""
        steps = range(self._step, self._step + PHASES)
        wheel = self._wheel
        step = next((step for step in steps if wheel[step % PHASES]), steps[-1])
        due_s = step * STEP_S
        return min(due_s, self._delayed[0][0]) if self._delayed else due_s

    def _speak(self, line: Line, now: float) -> None:
        datagram = line.tick()
        if datagram is None:
            return
        if line.path is None:
            line.send(datagram)
            return
        for at in line.path.arrivals(now):
            heapq.heappush(self._delayed, (at, next(self._order), line, datagram))
