"""Real time for many calls from one task, and the marks between which CPU is read."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from proto.frames import FRAME_MS

PHASES: Final = 20
"""Calls are spread evenly over a frame: one phase a millisecond."""

_STEP_S: Final = FRAME_MS / 1000 / PHASES
_CATCH_UP_STEPS: Final = 5 * PHASES
_AFTERWARDS_S: Final = 0.5


def phases() -> Iterator[int]:
    """Yield the steps for ever."""
    step = 0
    while True:
        yield step
        step += 1


async def pace(take: Callable[[int], Awaitable[None] | None]) -> None:
    """Call `take` with the number of each step, on time, until cancelled.

    One task for all calls: it costs the same for any number of them. Steps that are
    late are made up for, up to 100 ms.
    """
    loop = asyncio.get_running_loop()
    origin_s = loop.time()
    for step in phases():
        ahead_s = origin_s + step * _STEP_S - loop.time()
        if ahead_s > 0:
            await asyncio.sleep(ahead_s)
        elif ahead_s < -_CATCH_UP_STEPS * _STEP_S:
            origin_s -= ahead_s
        if (waiting := take(step)) is not None:
            await waiting


async def mark(counts: Callable[[], tuple[int, int]], warm_s: float, s: float) -> None:
    """Print, once warm and again so many seconds later, what was sent and received.

    The process then goes on for a moment, so that its CPU can be read.
    """
    await asyncio.sleep(warm_s)
    print(*counts(), flush=True)
    await asyncio.sleep(s)
    print(*counts(), flush=True)
    await asyncio.sleep(_AFTERWARDS_S)
