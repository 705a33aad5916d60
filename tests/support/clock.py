"""Event loops in virtual time: one that runs coroutines, one that is turned by hand.

Ten seconds of timers run in microseconds, and in the same order each time, because no
code of ours reads a clock but `loop.time()`.
"""

import asyncio
import heapq
import itertools
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_Ready = list[tuple[selectors.SelectorKey, int]]


class NothingCanHappenError(Exception):
    """The loop would wait for ever: no timer is set and nothing can wake it."""


class _VirtualSelector(selectors.SelectSelector):
    """Never sleeps: an idle wait moves the clock forward instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.may_block = False

    def select(self, timeout: float | None = None) -> _Ready:
        """Return what is ready at once, else let `timeout` seconds pass."""
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.may_block:
            ready = super().select(timeout)
        elif timeout is None:
            raise NothingCanHappenError
        if not ready:
            self.now_s += timeout or 0.0
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop that starts at 0 s and jumps from timer to timer.

    Time passes only when nothing else is left to do. Work in threads still takes real
    time: once an executor was used, an idle loop waits for it instead of jumping ahead.
    """

    def __init__(self) -> None:
        self._virtual = _VirtualSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._virtual.now_s

    def hold(self, seconds: float) -> None:
        """Let time pass while nothing else runs, as a callback does that is busy."""
        self._virtual.now_s += seconds

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run a function in a thread; real time passes from now on while idle."""
        self._virtual.may_block = True
        return super().run_in_executor(executor, func, *args)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in virtual time.

    Raises:
        AssertionError: It left tasks behind.
        NothingCanHappenError: It waits for what can never come.
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        result = runner.run(main)
        leaked = asyncio.all_tasks(runner.get_loop())
        assert not leaked, f"leaked tasks: {[task.get_coro() for task in leaked]}"
        return result


class HandTurnedHandle:
    """A call that is due, unless it was cancelled."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Never call."""
        self.cancelled = True


class HandTurnedLoop:
    """Timers for code that awaits nothing: time passes only by `run_until`."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self._calls: list[tuple[float, int, HandTurnedHandle]] = []
        self._order = itertools.count()

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> HandTurnedHandle:
        """Call back at that time; at the same time, in the order of asking."""
        handle = HandTurnedHandle(callback)
        heapq.heappush(self._calls, (when, next(self._order), handle))
        return handle

    def run_until(self, end: float) -> None:
        """Let time pass."""
        while self._calls and self._calls[0][0] <= end:
            when, _, handle = heapq.heappop(self._calls)
            if not handle.cancelled:
                self.now = max(self.now, when)
                handle.callback()
        self.now = end

    @property
    def armed(self) -> int:
        """How many calls are still to come."""
        return sum(not handle.cancelled for _, _, handle in self._calls)
