"""Waiting for what peers and other processes do in their own time."""

import asyncio
from collections.abc import Awaitable, Callable

GLANCE_S = 0.02
LIMIT_S = 30.0
"""Only what never comes takes so long, however crowded the machine."""


async def until(holds: Callable[[], object]) -> None:
    """Return once a condition holds; its change wakes nobody.

    Raises:
        TimeoutError: It does not hold within `LIMIT_S`.
    """
    async with asyncio.timeout(LIMIT_S):
        while not holds():  # noqa: ASYNC110  # what is looked at has no event
            await asyncio.sleep(GLANCE_S)


async def until_reads(
    read: Callable[[], Awaitable[object]], wanted: object, limit_s: float = LIMIT_S
) -> None:
    """Return once it reads as wanted.

    Raises:
        AssertionError: It does not within `limit_s`; names what it read last.
    """
    loop = asyncio.get_running_loop()
    end_s = loop.time() + limit_s
    while (found := await read()) != wanted:
        assert loop.time() < end_s, found
        await asyncio.sleep(GLANCE_S)
