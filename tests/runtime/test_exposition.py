"""The metrics of several workers on one page."""

import pytest
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeHistogramMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from runtime.exposition import merged


class Spread(Collector):
    def collect(self) -> list[Metric]:
        return [
            GaugeHistogramMetricFamily(
                "rtt", "Of links.", buckets=[("1.0", 1), ("+Inf", 2)], gsum_value=3
            )
        ]


def page(calls: int, code: str, seconds: float) -> bytes:
    registry = CollectorRegistry()
    Gauge("calls", "Being held.", registry=registry).set(calls)
    Counter("ended", 'With "quotes".', ["code"], registry=registry).labels(code).inc()
    Histogram("length", "How long.", buckets=(1,), registry=registry).observe(seconds)
    registry.register(Spread())
    return generate_latest(registry)


def samples(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


ODD = 'a "b" {c} \\ \n d'


def test_every_sample_of_every_worker_is_there_under_its_label() -> None:
    pages = {0: page(2, ODD, 0.5), 1: page(3, "normal", 2.0)}
    expected = {
        (name, labels | {("worker", str(worker))}): value
        for worker, text in pages.items()
        for (name, labels), value in samples(text).items()
        if not name.endswith("_created")
    }
    found = samples(merged(pages))
    assert {
        key: value for key, value in found.items() if not key[0].endswith("_created")
    } == expected
    assert len(found) == 2 * len(samples(pages[0]))


def test_a_family_has_one_header_and_its_samples_together() -> None:
    lines = merged({1: page(3, "x", 1.0), 0: page(2, "x", 1.0)}).decode().splitlines()
    at = lines.index("# HELP calls Being held.")
    assert lines[at : at + 4] == [
        "# HELP calls Being held.",
        "# TYPE calls gauge",
        'calls{worker="0"} 2.0',
        'calls{worker="1"} 3.0',
    ]
    headers = [line for line in lines if line.startswith("#")]
    assert len(headers) == len(set(headers))


def test_a_family_that_only_one_has_is_kept() -> None:
    assert merged({0: b"", 3: b"# HELP a A.\n# TYPE a gauge\na 1.0\n"}) == (
        b'# HELP a A.\n# TYPE a gauge\na{worker="3"} 1.0\n'
    )


@pytest.mark.parametrize("value", ["NaN", "+Inf", "1.5e+09"])
def test_values_are_left_as_they_are(value: str) -> None:
    text = f'# TYPE a gauge\na{{b="c d"}} {value}\n'.encode()
    assert merged({0: text}).endswith(f'a{{worker="0",b="c d"}} {value}\n'.encode())
