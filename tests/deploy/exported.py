"""The metrics that the services export today, asked of their own registries."""

import functools
from collections.abc import Mapping
from types import SimpleNamespace
from typing import cast

from prometheus_client import CollectorRegistry

from proto.metrics import DialerMetrics, ListenerMetrics
from proto.stats import LinkStats
from proto.udp import Dialer, Listener
from relay.engine.connection import Parts
from relay.engine.service import Engine
from relay.engine.stages import Stages as EngineStages
from relay.metrics import Metrics as RelayMetrics, Traffic
from runtime.restarts import Restarts
from runtime.settings import Address
from runtime.siblings import Siblings
from runtime.worker import ALONE
from transceiver.admission import Admission
from transceiver.ingress.flows import Flows
from transceiver.ingress.forwarder import Forwarder
from transceiver.ingress.metrics import registry_of
from transceiver.ingress.router import RouterCounters
from transceiver.metrics import Metrics as TransceiverMetrics
from transceiver.spread import Opens, Spread
from transceiver.strain import Strain
from transceiver.usage import UsageCollector
from transceiver.watch import Watch

_SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
}


@functools.cache
def registries() -> Mapping[str, CollectorRegistry]:
    """Return the registry of each service, as it is when nothing has happened."""
    engine = CollectorRegistry()
    Engine(cast(Parts, None), engine)  # its models are of no interest here
    EngineStages(engine).close()
    dialer = Dialer(Address("relay", 7000), bytes(32))
    listener = SimpleNamespace(link_count=0, rtts_s=[], refused=0, stats=LinkStats())
    metrics = TransceiverMetrics(lambda: {"unsent": 0})
    admission, calls = Admission(max_calls=1), cast(Opens, None)
    watch = Watch(Strain(saved=0.0), lambda _: None, metrics.second, lambda: None)
    metrics.tell_of_strain(watch, admission)
    transceiver = metrics.registry
    transceiver.register(UsageCollector(list))
    transceiver.register(DialerMetrics([dialer]))
    nobody = SimpleNamespace(own_index=None)
    transceiver.register(Spread(calls, admission, cast(Siblings, nobody), None))
    transceiver.register(Restarts(ALONE))
    relay = RelayMetrics(lambda: [Traffic()]).registry
    relay.register(ListenerMetrics(cast(Listener, listener)))  # it would bind
    relay.register(Restarts(ALONE))
    router = SimpleNamespace(counters=RouterCounters(), flows=Flows(1))
    forwarder = SimpleNamespace(router=router, unsent=0)
    ingress = registry_of(cast(Forwarder, forwarder))
    return {
        "transceiver": transceiver,
        "relay": relay,
        "engine": engine,
        "ingress": ingress,
    }


@functools.cache
def exported_metrics() -> frozenset[str]:
    """Return the names under which Prometheus stores what the services export."""
    return frozenset(
        family.name + suffix
        for registry in registries().values()
        for family in registry.collect()
        for suffix in _SUFFIXES[family.type]
    )
