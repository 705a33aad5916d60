"""What the services tell Prometheus, read back."""

from collections.abc import Iterator, Mapping

import aiohttp
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """One page of metrics."""

    def __init__(self, text: str) -> None:
        self.families: Mapping[str, Metric] = {
            family.name: family for family in text_string_to_metric_families(text)
        }

    def values(self, name: str, **labels: str) -> Iterator[float]:
        """Yield the values of the samples of a name that have those labels."""
        for family in self.families.values():
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    yield sample.value

    def value(self, name: str, **labels: str) -> float:
        """Return the sum of such samples; of none it is 0."""
        return sum(self.values(name, **labels))

    def mean(self, histogram: str, **labels: str) -> float:
        """Return the mean of what a histogram has seen; it must have seen something."""
        count = self.value(f"{histogram}_count", **labels)
        assert count, f"{histogram} {labels} has seen nothing"
        return self.value(f"{histogram}_sum", **labels) / count


async def scrape(url: str) -> Scrape:
    """Ask a service."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/metrics") as answer:
        return Scrape(await answer.text())
