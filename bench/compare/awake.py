"""Cores kept awake while they are measured.

A virtual core that has nothing to do for a moment is lent to another machine by its
host, and comes back late and with cold caches. A server that waits 500 times a second
took 4.7 and 5.4 ms a call-second in two runs, and 4.6 ms in both of two beside them
whose core was kept awake. Whether a host does that is its own affair, and a core at its
limit never waits; so what is seen at any load is the server that is awake.

What keeps a core awake runs only while nobody else wants it (SCHED_IDLE).
"""

import contextlib
import subprocess
import sys
from collections.abc import Iterable, Iterator

_LOOP = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
parent = os.getppid()
print(flush=True)
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@contextlib.contextmanager
def awake(cores: Iterable[int]) -> Iterator[None]:
    """Let none of these cores sleep for the length of a block."""
    with contextlib.ExitStack() as stack:
        for core in cores:
            command = [sys.executable, "-c", _LOOP, str(core)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout is not None
            process.stdout.readline()  # else it would begin as urgent as all others
        yield
