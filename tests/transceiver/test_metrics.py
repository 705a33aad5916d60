"""What the edge counts, as a scrape reads it."""

from transceiver.metrics import Metrics


def test_datagrams_dropped_are_read_when_scraped() -> None:
    dropped = {"empty": 0, "unsent": 2}
    registry = Metrics(lambda: dropped).registry
    dropped["empty"] = 5
    name = "tandem_datagrams_dropped_total"
    assert registry.get_sample_value(name, {"reason": "empty"}) == 5
    assert registry.get_sample_value(name, {"reason": "unsent"}) == 2
