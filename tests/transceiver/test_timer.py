"""The timer all calls share, on a loop that does not run."""

import math
import weakref

import pytest

from tests.support.clock import HandTurnedLoop
from transceiver.timer import Alarm, SharedTimer


class Bell:
    """An alarm, and when it rang."""

    def __init__(self, timer: SharedTimer) -> None:
        self.rang: list[float] = []
        self.alarm: Alarm = timer.alarm(self.rang.append)


@pytest.fixture
def loop() -> HandTurnedLoop:
    return HandTurnedLoop()


@pytest.fixture
def timer(loop: HandTurnedLoop) -> SharedTimer:
    return SharedTimer(loop)


def test_an_alarm_rings_once_at_its_deadline(
    loop: HandTurnedLoop, timer: SharedTimer
) -> None:
    bell = Bell(timer)
    bell.alarm.set(1.5)
    loop.run_until(10)
    assert bell.rang == [1.5]
    assert bell.alarm.deadline == math.inf


def test_the_last_deadline_set_is_the_one_that_counts(
    loop: HandTurnedLoop, timer: SharedTimer
) -> None:
    for deadlines in ([1, 5], [5, 1], [3, 1, 2], [1, 9, 4], [2, math.inf, 3]):
        loop.now = 0.0
        bell = Bell(timer)
        for deadline in deadlines:
            bell.alarm.set(deadline)
        loop.run_until(20)
        assert bell.rang == [deadlines[-1]]


def test_an_alarm_set_to_infinity_does_not_ring(
    loop: HandTurnedLoop, timer: SharedTimer
) -> None:
    bell = Bell(timer)
    bell.alarm.set(1)
    bell.alarm.set(math.inf)
    loop.run_until(10)
    assert bell.rang == []
    assert loop.armed == 0


def test_many_alarms_ring_in_order_of_their_deadlines_by_one_handle(
    loop: HandTurnedLoop, timer: SharedTimer
) -> None:
    order: list[float] = []
    for deadline in (3.0, 1.0, 2.0, 5.0, 4.0):
        timer.alarm(order.append).set(deadline)
        assert loop.armed == 1
    loop.run_until(10)
    assert order == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_alarms_less_than_half_a_millisecond_apart_share_a_wake_up(
    loop: HandTurnedLoop, timer: SharedTimer
) -> None:
    near, far = Bell(timer), Bell(timer)
    near.alarm.set(1.0)
    far.alarm.set(1.0004)
    loop.run_until(1.0)
    assert near.rang == [1.0]
    assert far.rang == [1.0004]  # never told a time before its deadline


def test_an_alarm_set_again_as_it_rings_keeps_absolute_time(
    loop: HandTurnedLoop, timer: SharedTimer
) -> None:
    rang: list[float] = []

    def ring(now: float) -> None:
        rang.append(now)
        alarm.set(now + 0.02)

    alarm = timer.alarm(ring)
    alarm.set(0.02)
    loop.run_until(1.0)
    assert rang == pytest.approx([0.02 * n for n in range(1, len(rang) + 1)])
    assert len(rang) >= 49


def test_an_alarm_set_to_now_as_it_rings_lets_the_loop_go_on(
    loop: HandTurnedLoop, timer: SharedTimer
) -> None:
    rang: list[float] = []

    def ring(now: float) -> None:
        rang.append(now)
        if len(rang) % 10:
            alarm.set(now)

    alarm = timer.alarm(ring)
    alarm.set(1.0)
    timer._ring_due(1.0)
    assert len(rang) == 1
    loop.run_until(1.0)
    assert len(rang) >= 1


def test_a_callback_that_raises_takes_no_other_call_with_it(
    loop: HandTurnedLoop, timer: SharedTimer
) -> None:
    def fail(now: float) -> None:
        raise RuntimeError("one call's bug")

    bell, later = Bell(timer), Bell(timer)
    timer.alarm(fail).set(1.0)
    bell.alarm.set(1.0)
    later.alarm.set(2.0)
    with pytest.raises(RuntimeError):
        loop.run_until(5)
    loop.run_until(5)
    assert (bell.rang, later.rang) == ([1.0], [2.0])


def test_moving_an_alarm_later_and_later_leaves_one_entry(timer: SharedTimer) -> None:
    bell = Bell(timer)
    for n in range(1, 1000):
        bell.alarm.set(float(n))
    assert len(timer._heap) == 1


def test_an_alarm_that_was_dropped_lets_its_owner_go(
    loop: HandTurnedLoop, timer: SharedTimer
) -> None:
    class Owner:
        def ring(self, now: float) -> None:
            raise AssertionError("rang")

    owner = Owner()
    alarm = timer.alarm(owner.ring)
    alarm.set(1.5)
    held = weakref.ref(owner)
    alarm.drop()
    del owner
    assert held() is None
    loop.run_until(10)
