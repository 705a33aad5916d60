"""How often a worker has been replaced, for /metrics."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from runtime.worker import Worker


class Restarts(Collector):
    """Tells of one worker; of a process that is alone, which nobody replaces, 0."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def collect(self) -> Iterable[Metric]:
        """Yield the family."""
        table = self._worker.table
        yield CounterMetricFamily(
            "tandem_worker_restarts",
            "How often this worker has been replaced: it ended by itself, or hung.",
            value=0 if table is None else table.restarts(self._worker.index),
        )
