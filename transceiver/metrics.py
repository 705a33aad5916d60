"""What the edge counts, in a registry of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from transceiver.call import Call, Ending


class Metrics:
    """The transceiver's metrics; media counters are added when a call ends."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = Gauge("tandem_calls", "Calls being held.", registry=self.registry)
        self.ended = Counter(
            "tandem_calls_ended",
            "Calls that ended, by close code.",
            ["code"],
            registry=self.registry,
        )
        self.refused = Counter(
            "tandem_calls_refused",
            "Offers answered with 503.",
            registry=self.registry,
        )
        self.media = Counter(
            "tandem_media",
            "What happened to packets and frames of ended calls, by kind.",
            ["kind"],
            registry=self.registry,
        )

    def call_ended(self, call: Call, ending: Ending) -> None:
        """Count a call that is over."""
        self.ended.labels(ending.code.name.lower()).inc()
        if call.media is not None:
            for kind, count in call.media.counts().items():
                self.media.labels(kind).inc(count)
