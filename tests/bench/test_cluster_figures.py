"""Which calls of a cluster count as lost, and how long they heard nothing."""

from array import array

import pytest

from bench.cluster.heard import Heard, figures
from bench.load.line import Log

FRAME_NS = 20_000_000
SECOND_NS = 1_000_000_000
END_NS = 10 * SECOND_NS


def log(*heard: int) -> Log:
    """Speak for ten seconds, and hear these of the 500 frames back at once."""
    return Log(
        sent_ns=array("q", (number * FRAME_NS for number in range(500))),
        sent_frames=array("I", range(500)),
        arrived_ns=array("q", (number * FRAME_NS for number in heard)),
        sequences=array("q", heard),
        timestamps=array("I", (number * 960 for number in heard)),
    )


def test_a_call_that_hears_all_is_not_lost() -> None:
    found = figures([Heard(log(*range(500)), is_over=False)] * 2, 0, END_NS)
    assert found[:2] == (2, 0)
    assert found[2:] == pytest.approx((20.0, 1.0))


def test_a_gap_that_ends_is_no_loss_and_is_told_in_full() -> None:
    gap = log(*range(100), *range(300, 500))
    found = figures([Heard(gap, is_over=False)], 0, END_NS)
    assert found[:2] == (1, 0)
    assert found[2:] == pytest.approx((4020.0, 0.6))


@pytest.mark.parametrize("heard", [(), range(400)], ids=["never", "no more"])
def test_a_call_that_hears_nothing_in_the_end_is_lost(heard: range) -> None:
    assert figures([Heard(log(*heard), is_over=False)], 0, END_NS).lost == 1


def test_a_call_that_is_over_is_lost_whatever_it_heard() -> None:
    assert figures([Heard(log(*range(500)), is_over=True)], 0, END_NS).lost == 1


def test_what_came_before_and_after_does_not_count() -> None:
    found = figures([Heard(log(*range(500)), is_over=False)], SECOND_NS, 2 * SECOND_NS)
    assert found.returned == pytest.approx(1.0)
