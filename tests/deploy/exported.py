"""The metrics that the services export today, asked of their own registries."""

import functools
from types import SimpleNamespace
from typing import cast

from prometheus_client import CollectorRegistry

from proto.metrics import DialerMetrics, ListenerMetrics
from proto.stats import LinkStats
from proto.udp import Dialer, Listener
from relay.engine.connection import Parts
from relay.engine.service import Engine
from relay.metrics import Metrics as RelayMetrics, Traffic
from runtime.restarts import Restarts
from runtime.settings import Address
from runtime.worker import ALONE
from transceiver.admission import Admission
from transceiver.metrics import Metrics as TransceiverMetrics
from transceiver.usage import UsageCollector
from transceiver.watch import Watch

_SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
}


@functools.cache
def exported_metrics() -> frozenset[str]:
    """Return the names under which Prometheus stores what the services export."""
    engine = CollectorRegistry()
    Engine(cast(Parts, None), engine)  # its models are of no interest here
    dialer = Dialer(Address("relay", 7000), bytes(32))
    listener = SimpleNamespace(link_count=0, rtts_s=[], refused=0, stats=LinkStats())
    metrics = TransceiverMetrics(lambda: {"unsent": 0})
    watch = Watch(lambda _: None, metrics.second)
    metrics.tell_of_strain(watch, Admission(max_calls=1))
    metrics.registry.register(UsageCollector(list))
    transceiver = metrics.registry
    transceiver.register(DialerMetrics([dialer]))
    relay = RelayMetrics(lambda: [Traffic()]).registry
    relay.register(ListenerMetrics(cast(Listener, listener)))  # it would bind
    relay.register(Restarts(ALONE))
    return frozenset(
        family.name + suffix
        for registry in (transceiver, relay, engine)
        for family in registry.collect()
        for suffix in _SUFFIXES[family.type]
    )
