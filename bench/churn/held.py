"""What a service's process holds: as Linux counts it, and as the service tells."""

import asyncio
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import aiohttp

from bench.load.cpu import spent_s

CLOSED_S = 0.1
"""After which our own connection is none of the open files any more."""

_BUSY = (
    "tandem_slots_taken",
    "tandem_calls",
    "tandem_relay_sessions",
    "tandem_link_sessions",
)
"""Gauges that are 0 when no call is left anywhere, of either service."""


class Held(NamedTuple):
    """One look at one process.

    Attributes:
        calls: Slots, calls and sessions that are taken, added up.
        cpu_s: CPU seconds used since its start.
    """

    rss_mb: float
    files: int
    threads: int
    tasks: int
    calls: int
    cpu_s: float


async def look(http: aiohttp.ClientSession, url: str, pid: int) -> Held:
    """Look at a service on this machine."""
    async with http.get(f"{url}/metrics") as response:
        values = gauges(await response.text())
    await asyncio.sleep(CLOSED_S)
    return held(values, pid)


def held(values: Mapping[str, float], pid: int) -> Held:
    """Put together what the service tells and what Linux counts."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return Held(
        rss_mb=_number("VmRSS", status) / 1024,
        files=len(os.listdir(f"/proc/{pid}/fd")),
        threads=_number("Threads", status),
        tasks=int(values["tandem_tasks"]),
        calls=int(sum(values.get(name, 0.0) for name in _BUSY)),
        cpu_s=spent_s(pid),
    )


def gauges(exposed: str) -> dict[str, float]:
    """Return the values of an exposition, those of all labels of a name added up."""
    values: dict[str, float] = {}
    for line in exposed.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            name = name.partition("{")[0]
            values[name] = values.get(name, 0.0) + float(value)
    return values


def _number(name: str, status: str) -> int:
    found = re.search(rf"^{name}:\s*(\d+)", status, re.MULTILINE)
    assert found is not None
    return int(found[1])
