"""One frame in fifty is timed, and what it was to wait is no delay."""

import pytest
from prometheus_client import CollectorRegistry

from runtime.stages import EVERY, Stages, Stopwatch


class Timed:
    """A stopwatch with a clock of our own."""

    def __init__(self) -> None:
        self.now = 100.0
        self.seen: list[float] = []
        self.stopwatch = Stopwatch(self.seen.append, lambda: self.now)

    def passes(self, key: int, seconds: float, allowed_ms: int = 0) -> None:
        self.stopwatch.begin(key, allowed_ms)
        self.now += seconds
        if self.stopwatch.key == key:
            self.stopwatch.end()


def test_one_in_fifty_is_timed_beginning_with_the_first() -> None:
    timed = Timed()
    for key in range(2 * EVERY + 1):
        timed.passes(key, 0.001 * (key + 1))
    expected = [0.001, 0.001 * (EVERY + 1), 0.001 * (2 * EVERY + 1)]
    assert timed.seen == pytest.approx(expected)


def test_what_was_to_be_held_back_is_no_delay() -> None:
    timed = Timed()
    timed.passes(0, 0.17, allowed_ms=160)
    assert timed.seen == pytest.approx([0.01])


def test_what_goes_out_before_its_time_was_not_delayed() -> None:
    timed = Timed()
    timed.passes(0, 0.1, allowed_ms=160)
    assert timed.seen == [0.0]


def test_what_never_goes_out_makes_room_for_the_next() -> None:
    timed = Timed()
    timed.stopwatch.begin(0)
    timed.now += 10
    for key in range(1, EVERY + 1):
        timed.passes(key, 0.002)
    assert timed.seen == pytest.approx([0.002])


def test_without_an_observer_nothing_is_timed() -> None:
    stopwatch = Stopwatch()
    stopwatch.begin(0)
    assert stopwatch.key is None


def test_every_stage_is_shown_from_the_start() -> None:
    registry = CollectorRegistry()
    stages = Stages(registry, ("up", "down"))
    stages.observers["up"](0.003)
    count = "tandem_stage_seconds_count"
    assert registry.get_sample_value(count, {"stage": "up"}) == 1
    assert registry.get_sample_value(count, {"stage": "down"}) == 0
