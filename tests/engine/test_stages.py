"""The threads of the stages: order, fairness, and an end."""

import asyncio
import threading
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from relay.engine.stages import Stages

pytestmark = pytest.mark.asyncio


@pytest.fixture
def stages() -> Iterator[Stages]:
    made = Stages(CollectorRegistry())
    yield made
    made.close()


async def test_voice_activity_does_not_wait_for_the_slower_stages(
    stages: Stages,
) -> None:
    finish = threading.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stages.speaking.run(finish.wait))
        tasks.create_task(stages.hearing.run(finish.wait))
        await asyncio.sleep(0)
        assert await stages.voice.run(lambda: "heard") == "heard"
        finish.set()


async def test_callers_take_turns_in_the_order_they_asked(stages: Stages) -> None:
    done: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        for caller in ("one", "two", "one", "two"):
            tasks.create_task(stages.speaking.run(done.append, caller))
    assert done == ["one", "two", "one", "two"]


async def test_a_stage_is_idle_only_while_it_has_no_job(stages: Stages) -> None:
    finish = threading.Event()
    idle = [stages.hearing.is_idle]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stages.hearing.run(finish.wait))
        await asyncio.sleep(0)
        idle.append(stages.hearing.is_idle)
        finish.set()
    assert [*idle, stages.hearing.is_idle] == [True, False, True]


async def test_what_a_job_raises_reaches_who_asked(stages: Stages) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await stages.hearing.run(int, "x")


async def test_a_posted_job_runs_after_the_one_that_runs(stages: Stages) -> None:
    done: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stages.hearing.run(done.append, "first"))
        await asyncio.sleep(0)
        stages.hearing.post(lambda: done.append("posted"))
    await stages.hearing.run(done.append, "last")
    assert done == ["first", "posted", "last"]
