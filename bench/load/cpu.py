"""CPU time of processes, as Linux counts it."""

import os
from pathlib import Path


class NoSuchProcess(Exception):  # noqa: N818  # reads as what happened
    """There is no process of this id here."""


def spent_s(pid: int) -> float:
    """Return the CPU seconds that a process has used, all its threads together.

    Raises:
        NoSuchProcess: It has ended, or this is no Linux.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError as error:
        raise NoSuchProcess(f"no process {pid} in /proc") from error
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def spent_by(pids: tuple[int, ...]) -> dict[int, float]:
    """Return the CPU seconds of those processes that are there."""
    spent = {}
    for pid in pids:
        try:
            spent[pid] = spent_s(pid)
        except NoSuchProcess:
            continue
    return spent
