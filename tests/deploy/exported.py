"""The metrics that the services export today, asked of their own registries."""

import functools
from typing import cast

from prometheus_client import CollectorRegistry

from relay.engine.connection import Parts
from relay.engine.service import Engine
from relay.metrics import Metrics as RelayMetrics, Traffic
from transceiver.metrics import Metrics as TransceiverMetrics

_SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum"),
}


@functools.cache
def exported_metrics() -> frozenset[str]:
    """Return the names under which Prometheus stores what the services export."""
    engine = CollectorRegistry()
    Engine(cast(Parts, None), engine)  # its models are of no interest here
    transceiver = TransceiverMetrics(lambda: {"unsent": 0}).registry
    relay = RelayMetrics(lambda: [Traffic()]).registry
    return frozenset(
        family.name + suffix
        for registry in (transceiver, relay, engine)
        for family in registry.collect()
        for suffix in _SUFFIXES[family.type]
    )
