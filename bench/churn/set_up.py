"""How long callers wait for the first media: one after the other, and in a rush.

Meanwhile some calls talk, placed by a process of their own: what the rush does to them
is the longest wait within their speech. The callers work on this machine, too, and cost
it as much as the edge does; and 20 ms of each wait are aioice's pause between checks.
"""

import asyncio
import json
import sys
import tempfile
import time

import numpy as np

from bench.churn.ways import Edge, Failed, be_heard
from bench.load.cpu import spent_s
from bench.load.summary import Spread

ALONE_CALLS, ALONE_RATE = 40, 4.0
RUSH_CALLS, RUSH_RATE = 100, 100.0

WITNESSES = 4
WITNESS_S = 12.0
WITNESS_SET_UP_S = 4.0
"""Encoding its speech, setting up, settling: the rush comes after this."""


async def measure(edge: Edge, pid: int) -> None:
    """Print the figures of both.

    Args:
        edge: Where.
        pid: Of the transceiver.
    """
    await _measure(f"{ALONE_CALLS} calls, {ALONE_RATE:g} a second", edge, pid)
    watching = asyncio.create_task(_watch(edge))
    await asyncio.sleep(WITNESS_SET_UP_S)
    await _measure(
        f"{RUSH_CALLS} calls in one second", edge, pid, RUSH_CALLS, RUSH_RATE
    )
    gap_ms, late_ms = await watching
    print(
        f"longest gap of {WITNESSES} calls meanwhile: {gap_ms:.0f} ms "
        f"(sent up to {late_ms:.1f} ms late themselves, p99)"
    )


async def _measure(
    what: str,
    edge: Edge,
    pid: int,
    calls: int = ALONE_CALLS,
    rate: float = ALONE_RATE,
) -> None:
    before_s, own_before_s = spent_s(pid), time.process_time()
    waits_ms = await _rush(edge, calls, rate)
    cpu_ms = 1000 * (spent_s(pid) - before_s) / calls
    own_ms = 1000 * (time.process_time() - own_before_s) / calls
    print(f"{what}: {len(waits_ms)} heard", end="")
    spread = Spread.of(np.array(waits_ms))
    if spread is not None:
        print(
            f"; ms to first media p50 {spread.p50:.0f}  p95 {spread.p95:.0f}  "
            f"p99 {spread.p99:.0f}  max {spread.max:.0f}; "
            f"CPU ms a call: transceiver {cpu_ms:.1f}, callers {own_ms:.1f}",
            end="",
        )
    print(flush=True)


async def _rush(edge: Edge, calls: int, rate: float) -> list[float]:
    """Return how long each caller waited; all stay until the last has been heard."""
    waits_ms: list[float] = []
    over = asyncio.Event()
    left = calls

    async def call(due_s: float) -> None:
        nonlocal left
        await asyncio.sleep(due_s)
        try:
            waits_ms.append(await be_heard(edge, over, heard))
        except Failed as error:
            print(f"failed: {error}")
            heard()

    def heard() -> None:
        nonlocal left
        left -= 1
        if not left:
            over.set()

    async with asyncio.TaskGroup() as group:
        for number in range(calls):
            group.create_task(call(number / rate))
    return waits_ms


async def _watch(edge: Edge) -> tuple[float, float]:
    """Return the longest gap that witnesses heard, and how late they sent; ms."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
        load = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.load", "--url", edge.url),
            *("--calls", str(WITNESSES), "--ramp", str(WITNESSES)),
            *("--duration", str(WITNESS_S), "--json", file.name),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await load.wait()
        seen = json.load(file)
        return float(seen["longest_gap_ms"]), float(seen["late_ms"])
