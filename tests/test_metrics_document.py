"""The names, types and labels of docs/metrics.md are those of the code."""

import pathlib
import re
from collections.abc import Mapping
from typing import NamedTuple

import pytest

from tests.deploy.exported import registries

TEXT = (pathlib.Path(__file__).parents[1] / "docs" / "metrics.md").read_text()
OWN = "tandem_"


class Told(NamedTuple):
    """A metric, as the document tells of it."""

    kind: str
    labels: frozenset[str]


def told(service: str) -> Mapping[str, Told]:
    """Return what the document tells of a service, by name."""
    section = TEXT.partition(f"\n## {service.title()}\n")[2].partition("\n## ")[0]
    return {
        name: Told(kind, frozenset(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels in re.findall(
            r"^\| `(\w+)` \| (\w+) \| (.*?)\| .+ \|$", section, re.MULTILINE
        )
    }


SECTIONS = {
    "transceiver": "transceiver",
    "relay": "relay",
    "engine": "engine",
    "ingress": "forwarder",
}


@pytest.mark.parametrize(("service", "section"), SECTIONS.items())
def test_every_metric_is_told_and_every_one_told_is_there(
    service: str, section: str
) -> None:
    exported = {
        family.name + "_total" * (family.type == "counter"): family.type
        for family in registries()[service].collect()
        if family.name.startswith(OWN)
    }
    assert {name: one.kind for name, one in told(section).items()} == exported


@pytest.mark.parametrize(("service", "section"), SECTIONS.items())
def test_labels_are_those_that_are_told(service: str, section: str) -> None:
    document = told(section)
    for family in registries()[service].collect():
        for sample in family.samples:
            name = family.name + "_total" * (family.type == "counter")
            if name in document:
                assert sample.labels.keys() - {"le"} == document[name].labels, name
