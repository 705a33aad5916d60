"""What the relay counts, in a registry of its own.

The hot path counts in plain integers (`Traffic`, one a session); they are added up when
/metrics is read.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from proto.errors import CloseCode
from proto.metrics import session_loss
from relay.sight import Sight
from relay.turns import Turns
from runtime.process import tell_of_process
from runtime.stages import EVERY, Stages, Stopwatch

UPLINK, DOWNLINK = STAGES = ("relay_uplink", "relay_downlink")
"""Frame received to upstream append; delta received to first frame of it sent."""

TRANSPORTS = ("webrtc", "websocket")
"""How a session's client came to the edge."""


@dataclass(slots=True)
class Traffic:
    """What passed through a session, or through many."""

    frames_up: int = 0
    frames_down: int = 0
    frames_lost: int = 0
    filled_samples: int = 0
    packets_recovered: int = 0
    packets_concealed: int = 0
    packets_corrupt: int = 0
    dropped_samples: int = 0
    events_up: int = 0
    events_down: int = 0
    events_refused: int = 0
    events_malformed: int = 0
    events_undelivered: int = 0
    own_errors: int = 0
    barge_ins: int = 0
    unheard_samples: int = 0

    def add(self, other: "Traffic") -> None:
        """Add another's counts to these."""
        for field in dataclasses.fields(self):
            total = getattr(self, field.name) + getattr(other, field.name)
            setattr(self, field.name, total)


class Queues(NamedTuple):
    """How much waits, of a session or of many.

    Attributes:
        upstream: Messages that the upstream has not taken.
        speech: Frames of the model's, whose time has not come.
    """

    upstream: int
    speech: int


class Ending(NamedTuple):
    """How a session ended.

    Attributes:
        transport: One of `TRANSPORTS`.
        code: Its close code's name.
        error_code: The upstream's fault, if it was one.
        seconds: How long it lasted.
        tenant: Whose it was: a digest of an API key.
    """

    transport: str
    code: str
    error_code: str | None
    seconds: float
    tenant: str


class Metrics:
    """The relay's metrics.

    Args:
        live: Yields the traffic of each session under way.
        queues: Yields what waits in each.
    """

    def __init__(
        self,
        live: Callable[[], Iterable[Traffic]],
        queues: Callable[[], Iterable[Queues]] = tuple,
    ) -> None:
        self.registry = CollectorRegistry()
        tell_of_process(self.registry)
        self.ended = Traffic()
        self.sessions = Gauge(
            "tandem_relay_sessions",
            "Sessions under way, by how their clients came.",
            ["transport"],
            registry=self.registry,
        )
        for transport in TRANSPORTS:
            self.sessions.labels(transport)
        self.closed = Counter(
            "tandem_relay_sessions_closed",
            "Sessions that ended, by how their clients came and close code.",
            ["transport", "code"],
            registry=self.registry,
        )
        for transport, code in itertools.product(TRANSPORTS, CloseCode):
            self.closed.labels(transport, code.name.lower())
        self.upstream_errors = Counter(
            "tandem_relay_upstream_errors",
            "Sessions that the upstream refused or dropped, by error code.",
            ["code"],
            registry=self.registry,
        )
        self.session_s = Histogram(
            "tandem_relay_session_seconds",
            "Length of ended sessions, by how their clients came.",
            ["transport"],
            buckets=(10, 30, 60, 180, 600, 1800, 3600),
            registry=self.registry,
        )
        self._tenant_sessions = Counter(
            "tandem_relay_tenant_sessions",
            "Sessions that ended, by tenant and how their clients came.",
            ["tenant", "transport"],
            registry=self.registry,
        )
        self._tenant_s = Counter(
            "tandem_relay_tenant_session_seconds",
            "Their length.",
            ["tenant", "transport"],
            registry=self.registry,
        )
        self.tick_lateness_s = Histogram(
            "tandem_relay_tick_lateness_seconds",
            "How late the downlink clock ticked.",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
            registry=self.registry,
        )
        self._stages = Stages(self.registry, STAGES)
        self._answer_s = Histogram(
            "tandem_relay_voice_to_voice_seconds",
            "From the word that the caller has spoken to the first sound sent.",
            buckets=(0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0),
            registry=self.registry,
        )
        waiting = Gauge(
            "tandem_relay_waiting",
            "What waits in all sessions together, by queue.",
            ["queue"],
            registry=self.registry,
        )
        for queue in Queues._fields:
            waiting.labels(queue).set_function(functools.partial(_total, queue, queues))
        self.session_loss = session_loss(self.registry)
        self.registry.register(_TrafficCollector(self.ended, live))

    def sight(self, *, is_live: bool, turns: Turns | None = None) -> Sight:
        """Return what measures the delays of one session.

        Args:
            is_live: Its upstream's audio comes frame by frame, not in bursts, of which
                each beginning is of interest.
            turns: Tell of its turns.
        """
        observers = self._stages.observers
        return Sight(
            Stopwatch(observers[UPLINK]),
            Stopwatch(observers[DOWNLINK], every=EVERY if is_live else 1),
            self._answer_s.observe,
            turns,
        )

    def session_ended(self, traffic: Traffic, ending: Ending) -> None:
        """Count a session that is over, and what passed through it."""
        self.ended.add(traffic)
        self.closed.labels(ending.transport, ending.code).inc()
        self.session_s.labels(ending.transport).observe(ending.seconds)
        whose = ending.tenant, ending.transport
        self._tenant_sessions.labels(*whose).inc()
        self._tenant_s.labels(*whose).inc(ending.seconds)
        if ending.error_code:
            self.upstream_errors.labels(ending.error_code).inc()


def _total(queue: str, queues: Callable[[], Iterable[Queues]]) -> float:
    return float(sum(getattr(one, queue) for one in queues()))


class _TrafficCollector(Collector):
    def __init__(self, ended: Traffic, live: Callable[[], Iterable[Traffic]]) -> None:
        self._ended = ended
        self._live = live

    def collect(self) -> Iterable[Metric]:
        total = Traffic()
        total.add(self._ended)
        for traffic in self._live():
            total.add(traffic)
        family = CounterMetricFamily(
            "tandem_relay_traffic", "What passed through, by kind.", labels=["kind"]
        )
        for kind, count in dataclasses.asdict(total).items():
            family.add_metric([kind], count)
        yield family
