"""Whose loop stands still, as the supervisor sees it."""

import pytest

from runtime.pulse import BEAT_S, ENDING_LOOKS, SLOW_LOOKS, STILL_LOOKS, Pulse

DOCKER_STOP_S = 10.0
"""From SIGTERM to SIGKILL, where no other time is set."""


class Watch:
    """Looks at workers, a little later each time than it would have had to."""

    def __init__(self, workers: int) -> None:
        self.pulse = Pulse(workers)
        self.now = 100.0
        self.are_ending = False

    def look(self, *beats: int | None, times: int = 1) -> list[int]:
        found: list[int] = []
        for _ in range(times):
            self.now += 1.01 * BEAT_S
            found += self.pulse.look(beats, self.now, are_ending=self.are_ending)
        return found


def test_who_has_not_beaten_for_so_many_looks_hangs_and_is_told_of_once() -> None:
    watch = Watch(2)
    assert watch.look(7, 7) == []
    for beat in range(8, 7 + STILL_LOOKS):
        assert watch.look(beat, 7) == []
    assert watch.look(50, 7) == [1]
    assert watch.look(50, 7, times=STILL_LOOKS - 1) == []


def test_one_beat_is_enough_to_live_on() -> None:
    watch = Watch(1)
    for beat in range(1, 5):
        assert watch.look(beat, times=STILL_LOOKS) == []


def test_who_starts_or_rests_is_given_longer() -> None:
    watch = Watch(1)
    assert watch.look(None, times=SLOW_LOOKS - 1) == []
    watch.look(1, times=STILL_LOOKS)
    assert watch.look(None, times=SLOW_LOOKS) == []
    assert watch.look(None) == [0]
    assert watch.look(None, times=SLOW_LOOKS) == []


def test_who_hangs_when_told_to_end_is_found_in_time_for_all_to_have_ended() -> None:
    watch = Watch(2)
    watch.are_ending = True
    told_at = watch.now
    assert watch.look(7, 7) == []  # the last beat of one came just before
    for beat in range(8, 7 + ENDING_LOOKS):
        assert watch.look(beat, 7) == []
    assert watch.look(50, 7) == [1]
    assert watch.now - told_at < 0.7 * DOCKER_STOP_S
    assert watch.look(50, 7, times=ENDING_LOOKS - 1) == []


def test_who_hung_before_it_was_told_to_end_has_had_its_time() -> None:
    watch = Watch(1)
    watch.look(7)
    assert watch.look(7, times=STILL_LOOKS - 1) == []
    watch.are_ending = True
    assert watch.look(7) == [0]
    assert watch.look(7, times=2 * STILL_LOOKS) == []


def test_who_has_been_told_of_and_turns_again_may_hang_again() -> None:
    watch = Watch(1)
    watch.look(7)
    assert watch.look(7, times=STILL_LOOKS) == [0]
    assert watch.look(8) == []
    assert watch.look(8, times=STILL_LOOKS) == [0]


def test_who_rests_is_given_as_long_when_told_to_end() -> None:
    watch = Watch(1)
    watch.are_ending = True
    watch.look(1)
    assert watch.look(None, times=SLOW_LOOKS) == []
    assert watch.look(None) == [0]


def test_a_replacement_has_all_the_time_again() -> None:
    watch = Watch(1)
    watch.look(1, times=STILL_LOOKS)
    watch.pulse.started(0)
    assert watch.look(1, times=STILL_LOOKS) == []
    assert watch.look(1) == [0]


def test_who_dies_again_and_again_as_it_starts_never_hangs() -> None:
    watch = Watch(1)
    for _ in range(SLOW_LOOKS):
        watch.pulse.started(0)
        assert watch.look(None, times=3) == []


def test_a_machine_that_stood_still_itself_has_nobody_hang() -> None:
    watch = Watch(1)
    watch.look(9)
    watch.now += 3600.0
    assert watch.look(9) == []
    assert watch.look(10, times=STILL_LOOKS) == []


def test_looks_in_quick_succession_count_once() -> None:
    pulse = Pulse(1)
    assert pulse.wait_s(5.0) == 0.0
    for step in range(100):
        assert pulse.look([1], 5.0 + step * BEAT_S / 100) == []
    assert pulse.wait_s(5.0 + 0.4 * BEAT_S) == pytest.approx(0.6 * BEAT_S)
