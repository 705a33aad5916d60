"""What the edge counts, in a registry of its own."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from proto.metrics import session_loss
from runtime.process import tell_of_process
from transceiver.call import Call, Ending


class Metrics:
    """The transceiver's metrics; media counters are added when a call ends.

    Args:
        dropped: Tells how many datagrams the UDP port has dropped, by reason.
    """

    def __init__(self, dropped: Callable[[], Mapping[str, int]]) -> None:
        self.registry = CollectorRegistry()
        tell_of_process(self.registry)
        self.registry.register(_DroppedCollector(dropped))
        self.calls = Gauge("tandem_calls", "Calls being held.", registry=self.registry)
        self.slots = Gauge(
            "tandem_slots_taken",
            "Calls and WebSocket sessions, those being set up too.",
            registry=self.registry,
        )
        self.websockets = Gauge(
            "tandem_websockets",
            "WebSockets being held, by kind: session, or sideband of a call.",
            ["kind"],
            registry=self.registry,
        )
        self.ended = Counter(
            "tandem_calls_ended",
            "Calls that ended, by close code.",
            ["code"],
            registry=self.registry,
        )
        self.refused = Counter(
            "tandem_calls_refused",
            "Requests that found no room: answered with 503 or 429.",
            registry=self.registry,
        )
        self.media = Counter(
            "tandem_media",
            "What happened to packets and frames of ended calls, by kind.",
            ["kind"],
            registry=self.registry,
        )

        self.session_loss = session_loss(self.registry)

    def call_ended(self, call: Call, ending: Ending) -> None:
        """Count a call that is over."""
        self.ended.labels(ending.code.name.lower()).inc()
        if call.media is not None:
            for kind, count in call.media.counts().items():
                self.media.labels(kind).inc(count)
        if call.frame_counts is not None:
            self.session_loss.observe(call.frame_counts.share_given_up)


class _DroppedCollector(Collector):
    def __init__(self, dropped: Callable[[], Mapping[str, int]]) -> None:
        self._dropped = dropped

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(
            "tandem_datagrams_dropped",
            "Datagrams that the UDP port dropped, by reason.",
            labels=["reason"],
        )
        for reason, count in self._dropped().items():
            family.add_metric([reason], count)
        yield family
