"""What a service tells of its process."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from runtime.process import tell_of_process


@pytest.mark.asyncio
async def test_a_task_is_counted_as_long_as_it_lives() -> None:
    registry = CollectorRegistry()
    tell_of_process(registry)
    before = registry.get_sample_value("tandem_tasks")
    assert before is not None
    task = asyncio.create_task(asyncio.sleep(0))
    assert registry.get_sample_value("tandem_tasks") == before + 1
    await task
    assert registry.get_sample_value("tandem_tasks") == before
