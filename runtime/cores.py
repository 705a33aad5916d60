"""How many processor cores this process may use."""

import os
from pathlib import Path
from typing import Final

_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
"""Of a container, as cgroup v2 has it: `QUOTA PERIOD` in microseconds, or `max PERIOD`
(Linux, Documentation/admin-guide/cgroup-v2.rst)."""


def available_cores() -> int:
    """Return how many cores the system lets this process run on; one at least."""
    try:
        quota = _QUOTA.read_text()
    except OSError:
        quota = ""
    return within_quota(_schedulable(), quota)


def within_quota(cores: int, quota: str) -> int:
    """Return how many of some cores a quota leaves whole; one at least.

    Args:
        cores: How many there are.
        quota: The text of `cpu.max`; what is not of its form bounds nothing.
    """
    allowed, _, period = quota.partition(" ")
    if not (allowed.isdecimal() and period.strip().isdecimal() and int(period)):
        return max(1, cores)
    return max(1, min(cores, int(allowed) // int(period)))


def _schedulable() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
