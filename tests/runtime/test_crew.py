"""Who is replaced, when, and when that is given up."""

import math

from runtime.crew import FIRST_PAUSE_S, LONGEST_PAUSE_S, STEADY_S, Crew, Verdict


def started(workers: int, now: float = 0.0) -> Crew:
    """Return a crew whose worker n runs as process 100 + n."""
    crew = Crew(workers)
    for worker in crew.due(now):
        crew.started(worker, 100 + worker, now)
    return crew


def test_all_are_started_at_once_and_each_once() -> None:
    crew = Crew(3)
    assert crew.due(0.0) == [0, 1, 2]
    crew.started(1, 101, 0.0)
    assert crew.due(0.0) == [0, 2]
    assert crew.worker_of(101) == 1
    assert crew.wait_s(0.0) == 0.0
    assert started(3).wait_s(0.0) == math.inf
    assert crew.process_of(1) == 101
    assert crew.process_of(0) is None


def test_who_dies_is_replaced_after_a_pause_and_nobody_else() -> None:
    crew = started(2)
    assert crew.ended(101, -9, 0.0, was_up=True) is Verdict.REPLACE
    assert crew.due(0.0) == []
    assert crew.wait_s(0.0) == FIRST_PAUSE_S
    assert crew.due(FIRST_PAUSE_S) == [1]
    assert not crew.has_failed


def pauses(deaths: int, lasting_s: float) -> list[float]:
    """Return how long is waited before each replacement of a worker."""
    crew, now, found = started(1), 0.0, []
    for pid in range(100, 100 + deaths):
        now += lasting_s
        assert crew.ended(pid, 1, now, was_up=True) is Verdict.REPLACE
        pause_s = crew.wait_s(now)
        found.append(round(pause_s, 6))
        now += pause_s
        crew.started(0, pid + 1, now)
    return found


def test_pauses_double_up_to_the_longest_while_replacements_do_not_last() -> None:
    assert pauses(8, 1.0) == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, LONGEST_PAUSE_S]


def test_the_pause_is_short_again_after_one_that_has_lasted() -> None:
    assert pauses(4, STEADY_S) == [FIRST_PAUSE_S] * 4


def test_one_that_cannot_start_ends_all() -> None:
    crew = started(2)
    assert crew.ended(100, 1, 0.2, was_up=False) is Verdict.GIVE_UP
    assert crew.has_failed
    assert crew.due(100.0) == []
    assert not crew.is_over
    crew.ended(101, 0, 0.3, was_up=True)
    assert crew.is_over


def test_one_that_was_up_before_is_tried_again_for_ever() -> None:
    crew = started(1)
    crew.ended(100, -9, 1.0, was_up=True)
    for pid in range(101, 120):
        crew.started(0, pid, 2.0)
        assert crew.ended(pid, 1, 2.0, was_up=False) is Verdict.REPLACE


def test_nobody_is_replaced_once_told_to_end() -> None:
    crew = started(2)
    crew.end()
    assert crew.ended(100, 0, 1.0, was_up=True) is Verdict.NOTHING
    assert crew.due(100.0) == []
    assert [crew.is_over, crew.has_failed] == [False, False]
    crew.ended(101, 0, 1.0, was_up=True)
    assert [crew.is_over, crew.has_failed] == [True, False]


def test_one_that_waits_for_its_replacement_is_over_when_told_to_end() -> None:
    crew = started(1)
    crew.ended(100, -9, 1.0, was_up=True)
    crew.end()
    assert crew.is_over
    assert crew.wait_s(1.0) == math.inf


def test_who_does_not_end_well_when_told_to_is_a_failure() -> None:
    crew = started(1)
    crew.end()
    crew.ended(100, 1, 1.0, was_up=True)
    assert crew.has_failed


def test_processes_of_others_change_nothing() -> None:
    crew = started(1)
    assert crew.ended(7, 1, 1.0, was_up=True) is Verdict.NOTHING
    assert crew.worker_of(7) is None
    assert not crew.is_ending


def test_one_that_finds_no_room_is_tried_again_and_ends_nobody() -> None:
    crew = Crew(2)
    crew.started(0, 100, 0.0)
    crew.postpone(1, 0.0)
    assert crew.due(0.0) == []
    assert crew.wait_s(0.0) == FIRST_PAUSE_S
    crew.postpone(1, FIRST_PAUSE_S)
    assert crew.due(2.9 * FIRST_PAUSE_S) == []
    assert crew.due(3.1 * FIRST_PAUSE_S) == [1]
    assert not crew.is_ending
