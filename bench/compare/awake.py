"""Cores kept awake while they are measured, and notes of how fast they were.

A virtual core that has nothing to do for a moment is lent to another machine by its
host, and comes back late and with cold caches. A server that waits 500 times a second
took 4.7 and 5.4 ms a call-second in two runs, and 4.6 ms in both of two beside them
whose core was kept awake. Whether a host does that is its own affair, and a core at its
limit never waits; so what is seen at any load is the server that is awake.

What keeps a core awake runs only while nobody else wants it (SCHED_IDLE). It does one
piece of work again and again and notes what it took: see `pace`.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from bench.compare.pace import NOTE, Pace
from bench.compare.peer import ROOT

ROUNDS = range(5_000)
"""A piece of work: some 40 us of nothing but the interpreter's own loop."""

PIECES = 33
"""That one note is of. Their median counts: a server that takes the core for a moment
makes slow only the piece that it interrupts, by what it leaves of the caches."""


@contextlib.contextmanager
def awake(cores: Iterable[int]) -> Iterator[Pace]:
    """Let none of these cores sleep for the length of a block; tell their pace."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        notes = {}
        for core in cores:
            path = Path(folder) / str(core)
            command = [sys.executable, "-m", __name__, str(core), str(path)]
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout is not None
            process.stdout.readline()  # else it would begin as urgent as all others
            notes[core] = path
        yield Pace(notes)


def _stay_awake(core: int, notes: Path) -> None:
    """Work for as long as the parent lives."""
    os.sched_setaffinity(0, {core})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    parent = os.getppid()
    with notes.open("wb", buffering=0) as file:
        print(flush=True)
        while os.getppid() == parent:
            took_s = statistics.median(_piece() for _ in range(PIECES))
            file.write(np.array((time.time(), took_s), NOTE).tobytes())


def _piece() -> float:
    """Return the CPU seconds of one piece of work."""
    before_s = time.process_time()
    for _ in ROUNDS:
        pass
    return time.process_time() - before_s


if __name__ == "__main__":
    _stay_awake(int(sys.argv[1]), Path(sys.argv[2]))
