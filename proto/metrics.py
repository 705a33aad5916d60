"""What Prometheus is told of the links: read when it asks, so frames pay nothing.

An edge has one link to each relay of its settings and tells of each by itself. A relay
has up to 1,024 links, from edges whose ports change with each dial: it tells the sums
of all, and how their round-trip times are spread; which edge has the slow link, that
edge tells. What is counted stays counted when a link ends.

Frames are counted by direction, as the caller sees it; at either end `sent` and
`resent` are of the direction that it sends, all other kinds of the one it receives.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from proto.stats import LinkStats
from proto.udp import Dialer, Listener

UP, DOWN = "up", "down"

RTT_BOUNDS_S: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Between machines of one place, regions next to each other, and the far side."""

SHARE_BOUNDS: Final = (0.0, 0.0001, 0.001, 0.01, 0.05, 0.1, 0.5)
"""None lost; the link's aims at 1 % and 5 % of loss; what is heard; what is a wreck."""

_SENT: Final = ("sent", "resent")


class DialerMetrics(Collector):
    """An edge's links, each under the relay's address.

    Args:
        dialers: One for each relay.
    """

    def __init__(self, dialers: Sequence[Dialer]) -> None:
        self._dialers = dialers

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        dialers = {(str(dialer.address),): dialer for dialer in self._dialers}
        for name, meaning, read in _GAUGES:
            family = GaugeMetricFamily(f"tandem_link_{name}", meaning, labels=["relay"])
            for labels, dialer in dialers.items():
                value = read(dialer)
                if value is not None:
                    family.add_metric(labels, value)
            yield family
        stats: dict[tuple[str, ...], LinkStats] = {
            labels: dialer.stats for labels, dialer in dialers.items()
        }
        yield from _counted(stats, ("relay",), sends=UP, receives=DOWN)


_GAUGES: Final = (
    ("up", "The link to a relay is up.", lambda dialer: float(dialer.is_up)),
    ("sessions", "Sessions on the link.", lambda dialer: dialer.session_count),
    ("rtt_seconds", "Smoothed round-trip time.", lambda dialer: dialer.rtt_s),
    (
        "rtt_variation_seconds",
        "How far round-trip times stray from the smoothed one.",
        lambda dialer: dialer.rtt_variation_s,
    ),
    (
        "jitter_seconds",
        "Interarrival jitter of the relay's datagrams (RFC 3550).",
        lambda dialer: dialer.jitter_s,
    ),
)


class ListenerMetrics(Collector):
    """All links of a relay together."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    def collect(self) -> Iterable[Metric]:
        """Yield the families."""
        listener = self._listener
        yield GaugeMetricFamily(
            "tandem_links", "Links to edges that are up.", value=listener.link_count
        )
        rtts_s = listener.rtts_s
        yield GaugeHistogramMetricFamily(
            "tandem_links_rtt_seconds",
            "Smoothed round-trip times of the links that are up.",
            buckets=[
                *(
                    (str(bound_s), sum(rtt_s <= bound_s for rtt_s in rtts_s))
                    for bound_s in RTT_BOUNDS_S
                ),
                ("+Inf", len(rtts_s)),
            ],
            gsum_value=sum(rtts_s),
        )
        yield CounterMetricFamily(
            "tandem_link_strangers",
            "Datagrams of no link that made none: met with silence.",
            value=listener.refused,
        )
        yield from _counted({(): listener.stats}, (), sends=DOWN, receives=UP)


def session_loss(registry: CollectorRegistry) -> Histogram:
    """Return what is to observe `FrameCounts.share_given_up` of each ended session."""
    return Histogram(
        "tandem_link_session_given_up_ratio",
        "Share of the frames meant for this end that the link gave up, of a session.",
        buckets=SHARE_BOUNDS,
        registry=registry,
    )


def _counted(
    stats: dict[tuple[str, ...], LinkStats],
    names: tuple[str, ...],
    *,
    sends: str,
    receives: str,
) -> Iterator[Metric]:
    """Yield the counters, by the labels of each of `stats`."""
    links = CounterMetricFamily(
        "tandem_link_changes",
        "Links that were dialled, came up, and went down again.",
        labels=[*names, "kind"],
    )
    datagrams = CounterMetricFamily(
        "tandem_link_datagrams",
        "Datagrams by kind; what is expected and not received is lost, or under way; "
        "unsent ones the kernel did not take.",
        labels=[*names, "kind"],
    )
    frames = CounterMetricFamily(
        "tandem_link_frames",
        "Audio frames by direction, as the caller sees it, and kind.",
        labels=[*names, "direction", "kind"],
    )
    fragments = CounterMetricFamily(
        "tandem_link_fragments_resent",
        "Pieces of events that were sent again.",
        labels=names,
    )
    for labels, seen in stats.items():
        for kind in ("dials", "ups", "downs"):
            links.add_metric([*labels, kind], getattr(seen, kind))
        for kind, count in _datagrams(seen):
            datagrams.add_metric([*labels, kind], count)
        for kind in seen.frames.__slots__:
            direction = sends if kind in _SENT else receives
            frames.add_metric([*labels, direction, kind], getattr(seen.frames, kind))
        fragments.add_metric(labels, seen.fragments_resent)
    return iter((links, datagrams, frames, fragments))


def _datagrams(seen: LinkStats) -> Iterator[tuple[str, int]]:
    """Yield what only grows: a datagram that is missing may yet come."""
    yield "sent", seen.datagrams_sent
    yield "unsent", seen.datagrams_unsent
    yield "received", seen.datagrams_received
    yield "expected", seen.datagrams_received + seen.datagrams_missing
    yield "unauthentic", seen.unauthentic
    yield "replayed", seen.replayed
    yield "malformed", seen.malformed
