"""What a service's process holds, for /metrics: memory, files, collections, tasks."""

import asyncio

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    ProcessCollector,
)


def tell_of_process(registry: CollectorRegistry) -> None:
    """Have a registry tell of this process; to be read in its event loop."""
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    Gauge(
        "tandem_tasks",
        "Tasks of the event loop; none outlives what it was started for.",
        registry=registry,
    ).set_function(_task_count)


def _task_count() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # read outside of a loop, where there are none
        return 0
