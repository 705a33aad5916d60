"""What a strained process gives up, when, and that it settles."""

import pathlib

import pytest
from hypothesis import given, strategies as st

from transceiver.profile import Profile, easing_saves
from transceiver.strain import (
    AT_REST_SHARE,
    FALL_SECONDS,
    LIMIT_SHARE,
    LONGEST_FALL_SECONDS,
    RISE_SECONDS,
    STRAINED_SHARE,
    Level,
    Second,
    Strain,
)

SAVED = 0.4
IDLE = Second(0.1, 0.002)
BUSY = Second(0.9, 0.01)
AT_LIMIT = Second(0.99, 0.04)


def after(*seconds: Second, strain: Strain | None = None) -> Level:
    strain = strain or Strain(SAVED)
    return [strain.second(second) for second in seconds][-1]


def full() -> Strain:
    strain = Strain(SAVED)
    assert after(*[AT_LIMIT] * 2 * RISE_SECONDS, strain=strain) is Level.FULL
    return strain


def test_encoders_are_eased_before_calls_are_refused() -> None:
    strain = Strain(SAVED)
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


def under(
    load: float, strain: Strain, *, saves: float, core: float = 1.0, seconds: int = 1000
) -> list[tuple[int, Level]]:
    """Return when a load that stays changed the level.

    Args:
        load: Of a core, with the encoders as they are set.
        strain: Judges.
        saves: Of the load, while they are eased.
        core: How much of one there is; who has too little is late.
        seconds: How long.
    """
    changes = []
    for second in range(seconds):
        before = strain.level
        wanted = load if before is Level.NORMAL else load * (1 - saves)
        late_s = 0.09 if wanted > core < 1.0 else 0.01
        if strain.second(Second(min(wanted, core), late_s)) is not before:
            changes.append((second, strain.level))
    return changes


LOADS = [percent / 100 for percent in range(40, 111)]


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
def test_every_load_that_stays_is_eased_once_for_good(
    profile: Profile, part: float
) -> None:
    thought = easing_saves(profile)
    for load in LOADS:
        strain = Strain(thought)
        changes = [
            level for _, level in under(load, strain, saves=thought * part, seconds=60)
        ]
        eased = [Level.EASED] * (thought > 0 and load > STRAINED_SHARE)
        left = load * (1 - thought * part) if eased else load
        assert changes == [*eased, *[Level.FULL] * (left > LIMIT_SHARE)], load


@pytest.mark.parametrize("profile", Profile)
def test_calls_may_save_a_tenth_of_what_is_left_more_than_was_thought(
    profile: Profile,
) -> None:
    thought = easing_saves(profile)
    for load in LOADS:
        strain = Strain(thought)
        changes = under(load, strain, saves=1 - 0.9 * (1 - thought), seconds=60)
        assert strain.times_eased <= 1
        assert len(changes) <= 2, load


@pytest.mark.parametrize("profile", Profile)
def test_encoders_are_as_they_are_set_again_once_the_load_is_a_tenth_less(
    profile: Profile,
) -> None:
    saves = easing_saves(profile)
    strain = Strain(saves)
    under(STRAINED_SHARE + 0.01, strain, saves=saves, seconds=60)
    assert strain.level is (Level.EASED if saves else Level.NORMAL)
    under(AT_REST_SHARE + 0.01, strain, saves=saves, seconds=60)
    assert strain.level is (Level.EASED if saves else Level.NORMAL)
    under(AT_REST_SHARE - 0.01, strain, saves=saves, seconds=60)
    assert strain.level is Level.NORMAL


@pytest.mark.parametrize("profile", [Profile.AUTO, Profile.QUALITY])
def test_the_document_says_what_easing_saves_and_until_when(profile: Profile) -> None:
    document = pathlib.Path(__file__).parents[2] / "docs" / "deployment.md"
    saves = easing_saves(profile)
    for share in (saves, AT_REST_SHARE * (1 - saves)):
        assert f" {share:.0%}".replace("%", " %") in document.read_text()


def test_where_easing_saves_nothing_calls_are_refused_at_once_at_the_limit() -> None:
    strain = Strain(saved=0.0)
    assert after(*[BUSY] * 100, strain=strain) is Level.NORMAL
    assert after(*[AT_LIMIT] * (RISE_SECONDS - 1), strain=strain) is Level.NORMAL
    assert after(AT_LIMIT, strain=strain) is Level.FULL
    assert after(*[BUSY] * 100, strain=strain) is Level.FULL
    assert after(*[IDLE] * (FALL_SECONDS - 1), strain=strain) is Level.FULL
    assert after(IDLE, strain=strain) is Level.NORMAL
    assert strain.times_eased == 0


def test_who_is_late_again_and_again_tries_ever_less_often() -> None:
    """Half a core: late with encoders as they are set, not late while eased."""
    changes = under(0.55, Strain(SAVED), saves=SAVED, core=0.5, seconds=5000)
    rests = [second for second, level in changes if level is Level.NORMAL]
    eased = [second for second, level in changes if level is Level.EASED]
    waits = [rest - since for since, rest in zip(eased, rests, strict=False)]
    doubled = [FALL_SECONDS * 2**times for times in range(len(waits))]
    assert waits == [min(wait, LONGEST_FALL_SECONDS) for wait in doubled]
    assert waits[-1] == LONGEST_FALL_SECONDS


def test_who_was_at_rest_for_long_is_as_patient_as_at_first() -> None:
    strain = Strain(SAVED)
    under(0.55, strain, saves=SAVED, core=0.5, seconds=300)
    under(0.3, strain, saves=SAVED, seconds=2 * LONGEST_FALL_SECONDS)
    (_, (rested_at, level), *_) = under(0.55, strain, saves=SAVED, core=0.5)
    assert (rested_at, level) == (RISE_SECONDS - 1 + FALL_SECONDS, Level.NORMAL)


@given(
    st.lists(
        st.builds(Second, st.floats(0.0, 4.0), st.floats(0.0, 10.0)), max_size=100
    ),
    st.floats(0.01, 0.9),
)
def test_levels_change_one_at_a_time_and_never_fast(
    seconds: list[Second], saved: float
) -> None:
    strain = Strain(saved)
    levels = [Level.NORMAL] * FALL_SECONDS
    for second in seconds:
        levels.append(strain.second(second))
        assert abs(levels[-1] - levels[-2]) <= 1
        if levels[-1] is not levels[-2]:
            assert len(set(levels[-1 - RISE_SECONDS : -1])) == 1
