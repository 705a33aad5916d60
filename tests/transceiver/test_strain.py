"""What a strained process gives up, when, and that it settles."""

import pytest
from hypothesis import given, strategies as st

from transceiver.strain import (
    AT_REST_SHARE,
    FALL_SECONDS,
    RISE_SECONDS,
    STRAINED_SHARE,
    Level,
    Second,
    Strain,
)

IDLE = Second(0.1, 0.002)
BUSY = Second(0.9, 0.01)
AT_LIMIT = Second(0.99, 0.04)


def after(*seconds: Second, strain: Strain | None = None) -> Level:
    strain = strain or Strain()
    return [strain.second(second) for second in seconds][-1]


def full() -> Strain:
    strain = Strain()
    assert after(*[AT_LIMIT] * 2 * RISE_SECONDS, strain=strain) is Level.FULL
    return strain


def test_encoders_are_eased_before_calls_are_refused() -> None:
    strain = Strain()
    levels = [strain.second(AT_LIMIT) for _ in range(2 * RISE_SECONDS)]
    assert levels == [
        *[Level.NORMAL] * (RISE_SECONDS - 1),
        *[Level.EASED] * RISE_SECONDS,
        Level.FULL,
    ]
    assert strain.times_eased == 1


def test_what_is_busy_but_below_the_limit_refuses_nobody() -> None:
    assert after(*[BUSY] * 100) is Level.EASED


def test_one_bad_second_changes_nothing_however_bad() -> None:
    collection = Second(1.0, 0.8)
    assert after(*[collection, IDLE] * 50) is Level.NORMAL


def test_a_burst_of_set_ups_changes_nothing() -> None:
    burst = [Second(1.0, 0.4)] * (RISE_SECONDS - 1)
    assert after(*[*burst, IDLE] * 20) is Level.NORMAL


@pytest.mark.parametrize(("late_s", "level"), [(0.07, Level.EASED), (0.2, Level.FULL)])
def test_a_process_that_gets_too_little_of_its_core_is_known_by_its_lateness(
    late_s: float, level: Level
) -> None:
    assert after(*[Second(0.5, late_s)] * 20) is level


def test_it_comes_back_step_by_step() -> None:
    strain = full()
    down = [strain.second(IDLE) for _ in range(2 * FALL_SECONDS)]
    assert down == [
        *[Level.FULL] * (FALL_SECONDS - 1),
        *[Level.EASED] * FALL_SECONDS,
        Level.NORMAL,
    ]


def test_a_relapse_begins_the_wait_again() -> None:
    relapse = [*[IDLE] * (FALL_SECONDS - 1), AT_LIMIT]
    assert after(*relapse * 10, strain=full()) is Level.FULL


@given(st.floats(0.0, 1.5), st.floats(AT_REST_SHARE / STRAINED_SHARE, 1.0))
def test_a_load_that_stays_is_eased_once_for_good(load: float, left: float) -> None:
    strain = Strain()
    changes = []
    for _ in range(200):
        before = strain.level
        share = load if before is Level.NORMAL else load * left
        if strain.second(Second(min(share, 1.0), 0.01)) is not before:
            changes.append(strain.level)
    assert changes in ([], [Level.EASED], [Level.EASED, Level.FULL])


@given(
    st.lists(st.builds(Second, st.floats(0.0, 4.0), st.floats(0.0, 10.0)), max_size=100)
)
def test_levels_change_one_at_a_time_and_never_fast(seconds: list[Second]) -> None:
    strain = Strain()
    levels = [Level.NORMAL] * FALL_SECONDS
    for second in seconds:
        levels.append(strain.second(second))
        assert abs(levels[-1] - levels[-2]) <= 1
        if levels[-1] is not levels[-2]:
            assert len(set(levels[-1 - RISE_SECONDS : -1])) == 1
