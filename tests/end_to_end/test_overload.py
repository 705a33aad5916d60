"""An edge that gets too little of its core takes no more callers, and keeps its own."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

import pytest

from tests.support.caller import calling, goes_on, refusal
from tests.support.scraping import scrape
from tests.support.services import Process, Stack, running_stack
from tests.support.waiting import until_reads
from transceiver.strain import VERY_LATE_S, Level

HELD_S, RUNS_S = 2 * VERY_LATE_S, VERY_LATE_S

SETTLED_WITHIN_S = 120.0
"""To rest it needs 10 s of which none is late; others may be using the machine."""


@contextlib.asynccontextmanager
async def crowded(process: Process) -> AsyncIterator[None]:
    """Give a process its core for a third of the time, meanwhile."""

    async def hold() -> None:
        while True:
            process.send(signal.SIGSTOP)
            await asyncio.sleep(HELD_S)
            process.send(signal.SIGCONT)
            await asyncio.sleep(RUNS_S)

    async with asyncio.TaskGroup() as tasks:
        holding = tasks.create_task(hold())
        try:
            yield
        finally:
            holding.cancel()
            process.send(signal.SIGCONT)


async def encoders(stack: Stack, complexity: int) -> float:
    page = await scrape(stack.url)
    return page.value("tandem_encoders", complexity=str(complexity))


async def reached(stack: Stack, level: Level) -> None:

    async def strain() -> float:
        return (await scrape(stack.url)).value("tandem_strain")

    await until_reads(strain, level, SETTLED_WITHIN_S)


@pytest.mark.interop
@pytest.mark.asyncio
async def test_a_crowded_edge_refuses_new_calls_until_it_has_its_core_again() -> None:
    async with (
        running_stack("echo", TANDEM_PROFILE="quality") as stack,
        calling(stack.url) as caller,
    ):
        await goes_on(caller)
        assert await encoders(stack, 5) == 1
        async with crowded(stack.transceiver):
            await reached(stack, Level.FULL)
            status, retry_after_s = await refusal(stack.url)
            assert status == 503
            assert retry_after_s is not None
            assert await stack.transceiver.readiness() == (200, "")
            await goes_on(caller)
            assert await encoders(stack, 0) == 1
        page = await scrape(stack.url)
        assert page.value("tandem_refused_overload_total") == 1
        assert page.value("tandem_eased_total") == 1
        await reached(stack, Level.NORMAL)
        assert await encoders(stack, 5) == 1
        async with calling(stack.url) as another:
            await goes_on(another)
