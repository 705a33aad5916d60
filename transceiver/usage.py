"""What calls hold and have carried, and what each tenant has used: read when scraped.

Tenants are named by digests of their API keys, so there are as many as keys are
configured, and a digest opens nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Usage(NamedTuple):
    """Of one call, or of many.

    Attributes:
        calls: How many.
        seconds: How long they lasted.
        up_s: Audio of the callers, seconds.
        down_s: Audio of the model, seconds.
    """

    calls: int = 0
    seconds: float = 0.0
    up_s: float = 0.0
    down_s: float = 0.0

    def plus(self, other: "Usage") -> "Usage":
        """Return both together."""
        return Usage(
            self.calls + other.calls,
            self.seconds + other.seconds,
            self.up_s + other.up_s,
            self.down_s + other.down_s,
        )


class Held(NamedTuple):
    """What a call holds now.

    Attributes:
        events: That wait for the data channel.
        frames: Of the model's audio that are not due.
        complexity: Of its encoder; None: it has none yet.
    """

    events: int
    frames: int
    complexity: int | None


class Used(Protocol):
    """A call."""

    tenant: str

    def usage(self) -> Usage:
        """Return what it has used so far."""

    def held(self) -> Held:
        """Return what it holds."""

    def counts(self) -> Mapping[str, int]:
        """Return what became of its packets and frames, by kind."""


class UsageCollector(Collector):
    """What is told of calls.

    Args:
        live: Yields the live ones.
    """

    def __init__(self, live: Callable[[], Iterable[Used]]) -> None:
        self._live = live
        self._ended: defaultdict[str, Usage] = defaultdict(Usage)
        self._media: Counter[str] = Counter()

    def ended(self, call: Used) -> None:
        """Count a call that is live no more."""
        self._media.update(call.counts())
        self._ended[call.tenant] = self._ended[call.tenant].plus(call.usage())

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        live = list(self._live())
        yield from _holding([call.held() for call in live])
        used, media = self._ended.copy(), self._media.copy()
        for call in live:
            media.update(call.counts())
            used[call.tenant] = used[call.tenant].plus(call.usage())
        yield from _using(used)
        family = CounterMetricFamily(
            "tandem_media", "What happened to packets and frames.", labels=["kind"]
        )
        for kind, count in media.items():
            family.add_metric([kind], count)
        yield family


def _holding(held: list[Held]) -> Iterator[Metric]:
    waiting = GaugeMetricFamily(
        "tandem_waiting",
        "What waits in all calls together, by queue.",
        labels=["queue"],
    )
    waiting.add_metric(["events"], sum(one.events for one in held))
    waiting.add_metric(["frames"], sum(one.frames for one in held))
    yield waiting
    encoders = GaugeMetricFamily(
        "tandem_encoders", "Encoders of live calls.", labels=["complexity"]
    )
    of = Counter(one.complexity for one in held if one.complexity is not None)
    for complexity, count in sorted(of.items()):
        encoders.add_metric([str(complexity)], count)
    yield encoders


def _using(used: dict[str, Usage]) -> Iterator[Metric]:
    calls = CounterMetricFamily(
        "tandem_tenant_calls", "Calls taken, live ones too.", labels=["tenant"]
    )
    seconds = CounterMetricFamily(
        "tandem_tenant_call_seconds", "Length of calls so far.", labels=["tenant"]
    )
    audio = CounterMetricFamily(
        "tandem_tenant_audio_seconds",
        "Audio so far, 20 ms a frame, by direction as the caller sees it.",
        labels=["tenant", "direction"],
    )
    for tenant, usage in used.items():
        calls.add_metric([tenant], usage.calls)
        seconds.add_metric([tenant], usage.seconds)
        audio.add_metric([tenant, "up"], usage.up_s)
        audio.add_metric([tenant, "down"], usage.down_s)
    return iter((calls, seconds, audio))
