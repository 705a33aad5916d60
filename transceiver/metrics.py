"""What the edge counts, in a registry of its own."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from proto.errors import CloseCode
from proto.metrics import session_loss
from runtime.process import tell_of_process
from runtime.stages import Stages
from runtime.traces import Steps
from transceiver.admission import Admission
from transceiver.call import Call, Ending
from transceiver.sight import LINK, STAGES, UNTIL, Sight
from transceiver.strain import LATE_S, VERY_LATE_S, Second
from transceiver.watch import Watch

_LATE_BOUNDS_S: Final = (0.002, 0.005, 0.01, 0.02, LATE_S, VERY_LATE_S, 0.2, 0.5, 1.0)
"""What callers do not hear, what strains, and what is a standstill."""


class Metrics:
    """The transceiver's metrics.

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
        for kind in ("session", "sideband"):
            self.websockets.labels(kind)
        self.ended = Counter(
            "tandem_calls_ended",
            "Calls that ended, by close code.",
            ["code"],
            registry=self.registry,
        )
        for code in CloseCode:
            self.ended.labels(code.name.lower())
        self.refused = Counter(
            "tandem_calls_refused",
            "Requests that found no room: answered with 503 or 429.",
            registry=self.registry,
        )
        self._cpu_share = Gauge(
            "tandem_cpu_share",
            "CPU time of this process in the last second, of one core.",
            registry=self.registry,
        )
        self._late_s = Histogram(
            "tandem_loop_late_seconds",
            "How late the event loop was at worst, of each second.",
            buckets=_LATE_BOUNDS_S,
            registry=self.registry,
        )
        self._stages = Stages(self.registry, STAGES)
        set_up = Histogram(
            "tandem_set_up_seconds",
            "From a call's offer until it is answered, and until audio can flow.",
            ["until"],
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
            registry=self.registry,
        )
        self._set_up = {until: set_up.labels(until).observe for until in UNTIL}
        self._unheard = Histogram(
            "tandem_unheard_seconds",
            "Speech that a caller had got and was not taken to have heard, per report.",
            buckets=(-0.1, -0.04, -0.02, 0.0, 0.02, 0.04, 0.06, 0.1, 0.2, 0.5),
            registry=self.registry,
        )
        self.session_loss = session_loss(self.registry)

    def call_ended(self, call: Call, ending: Ending) -> None:
        """Count a call that is over."""
        self.ended.labels(ending.code.name.lower()).inc()
        if call.frame_counts is not None:
            self.session_loss.observe(call.frame_counts.share_given_up)

    def sight(self, trace: Steps | None = None) -> Sight:
        """Return what measures a call that begins now, and tells of it."""
        stages, unheard = self._stages.observers, self._unheard.observe
        return Sight(stages, self._set_up, trace=trace, unheard=unheard)

    def one_way(self, seconds: float) -> None:
        """Take how long a link takes one way."""
        self._stages.observers[LINK](seconds)

    def second(self, second: Second) -> None:
        """Take what a second was like."""
        self._cpu_share.set(second.cpu_share)
        self._late_s.observe(second.late_s)

    def tell_of_strain(self, watch: Watch, admission: Admission) -> None:
        """Have scrapes tell how strained the process is, and what came of it."""
        level = Gauge(
            "tandem_strain",
            "0: none; 1: encoders are eased; 2: new calls are refused, and encoders "
            "are eased unless that saves nothing.",
            registry=self.registry,
        )
        level.set_function(lambda: watch.strain.level)
        for name, meaning, read in (
            (
                "tandem_eased",
                "Times that encoders were eased, for want of CPU.",
                lambda: watch.strain.times_eased,
            ),
            (
                "tandem_refused_overload",
                "Calls and WebSocket sessions refused for want of CPU.",
                lambda: admission.refused_overload,
            ),
        ):
            self.registry.register(_ReadCounter(name, meaning, read))


class _ReadCounter(Collector):
    """A counter that is kept elsewhere."""

    def __init__(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        self._name, self._meaning, self._read = name, meaning, read

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(self._name, self._meaning, value=self._read())


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
