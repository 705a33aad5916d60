"""When a busy socket is looked at in ticks, and when it is watched again."""

from hypothesis import given, strategies as st

from runtime.udp import JUDGED_S, PHASE_S, TICK_S, Cadence, tick_after


def wakes(cadence: Cadence, start: float, pause_s: float, seconds: float) -> bool:
    """Wake at a steady rate; return whether ticks began."""
    count = round(seconds / pause_s)
    return any(cadence.woken(start + (i + 1) * pause_s) for i in range(count))


def test_a_socket_that_wakes_the_loop_more_often_than_ticks_would_is_busy() -> None:
    assert wakes(Cadence(5.0), 5.0, TICK_S / 2, 1.5 * JUDGED_S)


def test_a_call_or_two_do_not_make_a_socket_busy() -> None:
    assert not wakes(Cadence(5.0), 5.0, 0.01, 10.0)


def test_one_burst_after_a_long_silence_does_not_make_it_busy() -> None:
    cadence = Cadence(0.0)
    assert not any(cadence.woken(60.0 + i * 1e-5) for i in range(40))


def test_ticks_that_mostly_find_something_go_on() -> None:
    cadence = Cadence(0.0)
    assert all(cadence.ticked(i % 3 and 1, i * TICK_S) for i in range(1, 500))


def test_ticks_that_mostly_find_nothing_end_soon() -> None:
    cadence = Cadence(0.0)
    ended = [i for i in range(1, 500) if not cadence.ticked(i % 3 == 0, i * TICK_S)]
    assert ended
    assert ended[0] * TICK_S <= JUDGED_S + TICK_S


def test_a_load_at_the_threshold_does_not_flap() -> None:
    cadence = Cadence(0.0)
    now, changes, ticking = 0.0, 0, False
    for _ in range(5_000):  # just busy enough to begin: each tick then finds one
        now += 0.9 * TICK_S if not ticking else TICK_S
        was = ticking
        ticking = cadence.ticked(1, now) if ticking else cadence.woken(now)
        changes += was != ticking
    assert changes == 1


@given(st.integers(0, 10**10))
def test_from_any_millisecond_the_next_tick_is_at_most_one_tick_away(
    now_ms: int,
) -> None:
    now = now_ms / 1000
    tick = tick_after(now)
    assert 0.9e-3 < tick - now < TICK_S + 1e-4
    assert tick_after(tick) - tick > 0.9 * TICK_S  # and none is found due twice
    assert round((tick - PHASE_S) * 1000) % round(TICK_S * 1000) == 0
