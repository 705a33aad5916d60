"""When the kernel held a core for a task of its own.

A thread of the kernel does not share a core as processes do. One that looks through a
machine's memory held one of two cores for 20 to 36 ms in one go, every 5 s, as long as
the machine was up (kdamond; measured): all calls that were served there waited, whoever
served them. So what was heard right then is told apart from what was heard else.

Not ksoftirqd: what it does is the work of whoever sends and receives.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from bench.load import cpu

HELD_MS: Final = 5.0
"""Of one core, by one thread, between two looks. Less is lost among the rest."""

LOOK_S: Final = 0.05

LIST_LOOKS: Final = 20
"""Looks after which threads are searched for anew."""

AFTER_S: Final = 0.3
"""How long it is heard: 36 ms of work are done beside others by a core of which these
take 88 %."""

_KERNEL: Final = 0x0020_0000
"""Flag of a thread of the kernel (PF_KTHREAD of Linux)."""

_OF_NETWORK: Final = "ksoftirqd"


class Hold(NamedTuple):
    """One time that a core was held.

    Attributes:
        from_ns, to_ns: When it may have been heard, by the wall clock.
        ms: How long the core was held.
        by: The thread's name.
    """

    from_ns: int
    to_ns: int
    ms: float
    by: str


class Watch:
    """Looks at the kernel's threads again and again; without /proc it finds nothing.

    Args:
        pids: Processes whose cores matter, beside this one's own.
        proc: Where processes are told of.

    Attributes:
        holds: Those found so far.
    """

    def __init__(self, pids: Iterable[int], proc: Path = cpu.PROC) -> None:
        self.holds: list[Hold] = []
        self._proc = proc
        self._cores = _cores(pids)
        self._files: dict[int, int] = {}
        self._spent_ns: dict[int, int] = {}
        self._looked_ns = time.time_ns()

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                self.list_threads()
                for _ in range(LIST_LOOKS):
                    self.look()
                    await asyncio.sleep(LOOK_S)
        finally:
            self.close()

    def list_threads(self) -> None:
        """Search for threads of the kernel."""
        for pid in cpu.pids(self._proc):
            if pid not in self._files:
                with contextlib.suppress(OSError, cpu.NoSuchProcess):
                    self._watch(pid)

    def look(self) -> None:
        """Note who has held a core since the last look."""
        looked_ns, self._looked_ns = self._looked_ns, time.time_ns()
        for pid, file in list(self._files.items()):
            try:
                spent_ns = int(os.pread(file, 64, 0).split()[0])
            except (OSError, IndexError):  # it has ended
                os.close(self._files.pop(pid))
                self._spent_ns.pop(pid, None)
                continue
            held_ms = (spent_ns - self._spent_ns.get(pid, spent_ns)) / 1e6
            self._spent_ns[pid] = spent_ns
            if held_ms >= HELD_MS:
                self._note(pid, held_ms, looked_ns)

    def close(self) -> None:
        """Look no more."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def _watch(self, pid: int) -> None:
        name, fields = cpu.stat(pid, self._proc)
        if int(fields[6]) & _KERNEL and not name.startswith(_OF_NETWORK):
            path = self._proc / str(pid) / "schedstat"
            self._files[pid] = os.open(path, os.O_RDONLY)

    def _note(self, pid: int, held_ms: float, from_ns: int) -> None:
        with contextlib.suppress(cpu.NoSuchProcess):
            name, fields = cpu.stat(pid, self._proc)
            if int(fields[36]) in self._cores:
                to_ns = self._looked_ns + round(AFTER_S * 1e9)
                self.holds.append(Hold(from_ns, to_ns, held_ms, name))


def _cores(pids: Iterable[int]) -> set[int]:
    """Return the cores where these processes may run, and this one."""
    cores: set[int] = set()
    if hasattr(os, "sched_getaffinity"):  # on Linux
        for pid in (0, *pids):
            with contextlib.suppress(OSError):
                cores |= os.sched_getaffinity(pid)
    return cores
