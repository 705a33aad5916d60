"""What the edge counts, as a scrape reads it."""

import pytest

from transceiver.admission import Admission, Full
from transceiver.metrics import Metrics
from transceiver.strain import RISE_SECONDS, Level, Second, Strain
from transceiver.watch import Watch


def test_datagrams_dropped_are_read_when_scraped() -> None:
    dropped = {"empty": 0, "unsent": 2}
    registry = Metrics(lambda: dropped).registry
    dropped["empty"] = 5
    name = "tandem_datagrams_dropped_total"
    assert registry.get_sample_value(name, {"reason": "empty"}) == 5
    assert registry.get_sample_value(name, {"reason": "unsent"}) == 2


def test_strain_is_told_with_what_was_done_about_it() -> None:
    metrics, admission = Metrics(dict), Admission(max_calls=1)
    watch = Watch(Strain(saved=0.4), lambda _: None, metrics.second, lambda: None)
    metrics.tell_of_strain(watch, admission)
    read = metrics.registry.get_sample_value
    assert read("tandem_strain") == read("tandem_eased_total") == 0
    for _ in range(RISE_SECONDS):
        second = Second(0.9, 0.03)
        metrics.second(second)
        watch.strain.second(second)
    admission.is_overloaded = True
    with pytest.raises(Full), admission.slot("a"):
        pass
    assert read("tandem_strain") == Level.EASED
    assert read("tandem_eased_total") == 1
    assert read("tandem_refused_overload_total") == 1
    assert read("tandem_cpu_share") == 0.9
    assert read("tandem_loop_late_seconds_bucket", {"le": "0.05"}) == RISE_SECONDS
    assert read("tandem_loop_late_seconds_bucket", {"le": "0.02"}) == 0
