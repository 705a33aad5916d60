"""What the forwarder counts."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from runtime.process import tell_of_process
from transceiver.ingress.forwarder import Forwarder

PASSED: Final = ("uplink", "downlink")
DROPPED: Final = ("unknown_client", "unknown_route", "no_room", "unlabelled")


def registry_of(forwarder: Forwarder) -> CollectorRegistry:
    """Return a registry of what a forwarder has done."""
    registry = CollectorRegistry()
    tell_of_process(registry)
    registry.register(_ForwarderCollector(forwarder))
    return registry


class _ForwarderCollector(Collector):
    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder

    def collect(self) -> Iterable[Metric]:
        """Read the counters at the time of the scrape."""
        counters = self._forwarder.router.counters
        passed = CounterMetricFamily(
            "tandem_ingress_datagrams",
            "Datagrams forwarded, by direction.",
            labels=["direction"],
        )
        for direction in PASSED:
            passed.add_metric([direction], getattr(counters, direction))
        dropped = CounterMetricFamily(
            "tandem_ingress_dropped", "Datagrams dropped, by reason.", labels=["reason"]
        )
        for reason in DROPPED:
            dropped.add_metric([reason], getattr(counters, reason))
        dropped.add_metric(["unsent"], self._forwarder.unsent)
        flows = GaugeMetricFamily(
            "tandem_ingress_flows",
            "Clients' addresses known, by whether a transceiver has answered them.",
            labels=["state"],
        )
        flows.add_metric(["proven"], self._forwarder.router.flows.proven)
        flows.add_metric(["unproven"], self._forwarder.router.flows.unproven)
        return [passed, dropped, flows]
