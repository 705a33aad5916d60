"""The load generator against both services, over real sockets."""

import asyncio
import dataclasses
import math

import pytest

from bench.load import run, summary
from bench.load.options import Options
from tests.support.services import running_stack

pytestmark = pytest.mark.interop


@pytest.mark.asyncio
async def test_calls_are_placed_heard_and_measured() -> None:
    async with running_stack("echo") as stack:
        options = Options(
            url=stack.url, calls=3, duration_s=2.5, pids=(stack.transceiver.pid,)
        )
        voice = run.load_voice(options)
        told: list[str] = []
        outcome = await run.run(options, voice, asyncio.Event(), told.append)
    figures = summary.summarize(outcome)
    assert (figures.connected, figures.failures) == (3, {})
    assert figures.returned > 0.5
    assert figures.set_up is not None
    assert figures.first_media is not None
    assert figures.delay is not None
    assert figures.delay.count > 50
    assert figures.cpu_ms.keys() == {stack.transceiver.pid}
    assert any("3/3 calls up" in line for line in told)
    assert "delay, ms       p50" in summary.as_text(figures)


@pytest.mark.asyncio
async def test_a_conversation_in_turns_is_measured_like_any_other() -> None:
    async with running_stack("echo:1") as stack:
        options = Options(
            url=stack.url, calls=3, duration_s=4.0, turn_s=1.0, echo_after_s=1.0
        )
        voice = run.load_voice(options)
        outcome = await run.run(options, voice, asyncio.Event(), lambda _: None)
    figures = summary.summarize(outcome)
    assert (figures.connected, figures.failures) == (3, {})
    assert 0.9 < figures.returned < 1.1
    assert figures.delay is not None


@pytest.mark.asyncio
async def test_an_interrupted_run_ends_with_what_it_has() -> None:
    async with running_stack("echo") as stack:
        options = Options(url=stack.url, calls=2, duration_s=600.0)
        stop = asyncio.Event()
        received: list[int] = []
        settled = math.ceil(run.SETTLE_S / run.PROGRESS_S) + 1

        def tell(line: str) -> None:
            if "2/2 calls up" in line:
                received.append(int(line.split()[-2]))
            if received[settled:] and received[-1] > received[settled]:
                stop.set()

        outcome = await run.run(options, run.load_voice(options), stop, tell)
    figures = summary.summarize(outcome)
    assert figures.stopped
    assert figures.connected == 2
    assert figures.returned > 0


@pytest.mark.asyncio
async def test_a_server_that_is_not_there_is_told_as_such() -> None:
    options = Options(url="http://127.0.0.1:9", calls=2, duration_s=0.1)
    outcome = await run.run(
        options, run.load_voice(options), asyncio.Event(), lambda _: None
    )
    figures = summary.summarize(outcome)
    assert figures.connected == 0
    assert all(reason.startswith("HTTP") for reason in figures.failures)
    assert sum(figures.failures.values()) == 2


@pytest.mark.asyncio
async def test_a_wrong_key_is_told_as_such() -> None:
    async with running_stack("echo", TANDEM_API_KEYS="right") as stack:
        wrong = Options(url=stack.url, calls=1, duration_s=0.2, key="wrong")
        for options, connected in (
            (wrong, 0),
            (dataclasses.replace(wrong, key="right"), 1),
        ):
            outcome = await run.run(
                options, run.load_voice(options), asyncio.Event(), lambda _: None
            )
            assert summary.summarize(outcome).connected == connected
