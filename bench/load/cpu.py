"""CPU time of processes, as Linux counts it."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

PROC: Final = Path("/proc")

_IDLE = 5
"""SCHED_IDLE of Linux, which alone has /proc/PID/stat."""


class NoSuchProcess(Exception):  # noqa: N818  # reads as what happened
    """There is no process of this id here."""


class Spent(NamedTuple):
    """What a process has used: CPU seconds, all its threads together.

    Attributes:
        core: Where it ran last.
        is_idle: It runs only while nobody else wants the core (SCHED_IDLE).
    """

    seconds: float
    core: int
    is_idle: bool = False


def stat(pid: int, proc: Path = PROC) -> tuple[str, list[str]]:
    """Return a process's name, and what /proc/PID/stat has behind it.

    Raises:
        NoSuchProcess: It has ended, or this is no Linux.
    """
    try:
        text = (proc / str(pid) / "stat").read_text("ascii", "replace")
    except OSError as error:
        raise NoSuchProcess(f"no process {pid} in {proc}") from error
    start, _, rest = text.rpartition(")")
    return start.partition("(")[2], rest.split()


def pids(proc: Path = PROC) -> list[int]:
    """Return the processes of the machine; none where this is no Linux."""
    return [int(path.name) for path in proc.glob("[0-9]*")]


def spent(pid: int) -> Spent:
    """Return what a process has used.

    Raises:
        NoSuchProcess: It has ended, or this is no Linux.
    """
    _, fields = stat(pid)
    user, system, core, policy = (int(fields[place]) for place in (11, 12, 36, 38))
    seconds = (user + system) / os.sysconf("SC_CLK_TCK")
    return Spent(seconds, core, policy == _IDLE)


def spent_s(pid: int) -> float:
    """Return the CPU seconds that a process has used, all its threads together.

    Raises:
        NoSuchProcess: It has ended, or this is no Linux.
    """
    return spent(pid).seconds


def spent_by(processes: Iterable[int]) -> dict[int, Spent]:
    """Return what those processes that are there have used."""
    found = {}
    for pid in processes:
        try:
            found[pid] = spent(pid)
        except NoSuchProcess:
            continue
    return found


def spent_by_all() -> dict[int, Spent]:
    """Return what each process of the machine has used; none where this is no Linux.

    Not read off the cores' own counts, which are sampled by the clock that also wakes
    who is measured: they say half as much again of a server with little to do.
    """
    return spent_by(pids())


def by_core(
    before: Mapping[int, Spent], after: Mapping[int, Spent]
) -> dict[int, float]:
    """Return the seconds used since, by the core where each process ran last.

    What runs only while nobody else wants the core takes nothing from anybody.
    """
    cores: dict[int, float] = {}
    for pid, (seconds, core, is_idle) in after.items():
        if is_idle:
            continue
        since_s = seconds - (before[pid].seconds if pid in before else 0.0)
        cores[core] = cores.get(core, 0.0) + since_s
    return cores
