"""The threads on which the models run: one for each stage, shared by all sessions.

A reply, a turn and a session's reader each have at most one job in a stage at a time,
and jobs are short, so queues are bounded by what a session may run at once, and first
come first served is fair: one caller's long answer is many short jobs, between which
everyone else gets a turn. Voice activity has a thread of its own and so never waits for
the slower stages.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from prometheus_client import CollectorRegistry, Histogram

P = ParamSpec("P")
T = TypeVar("T")

_BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)


class Stage:
    """One worker thread and the jobs waiting for it."""

    def __init__(self, name: str, seconds: Histogram) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._seconds = seconds.labels(stage=name)
        self._jobs = 0

    @property
    def is_idle(self) -> bool:
        """Nothing runs or waits."""
        return self._jobs == 0

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a short blocking job; the time waited counts into its metric."""
        loop = asyncio.get_running_loop()
        self._jobs += 1
        began_s = loop.time()
        try:
            return await loop.run_in_executor(
                self._threads, lambda: work(*args, **kwargs)
            )
        finally:
            self._jobs -= 1
            self._seconds.observe(loop.time() - began_s)

    def post(self, work: Callable[[], None]) -> None:
        """Run a job after those waiting, without its result."""
        self._threads.submit(work)

    def close(self) -> None:
        """Stop the thread after the jobs it has; whoever awaited them is gone."""
        self._threads.shutdown(wait=True)


class Stages:
    """The three blocking stages of the engine."""

    def __init__(self, registry: CollectorRegistry) -> None:
        seconds = Histogram(
            "tandem_engine_stage_seconds",
            "Time of one job of a stage, waiting included.",
            ["stage"],
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self.voice = Stage("voice", seconds)
        self.hearing = Stage("hearing", seconds)
        self.speaking = Stage("speaking", seconds)

    def close(self) -> None:
        """Stop all threads."""
        for stage in (self.voice, self.hearing, self.speaking):
            stage.close()
