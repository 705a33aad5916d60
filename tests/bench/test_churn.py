import os

import pytest

from bench.churn import ways
from bench.churn.__main__ import drawn
from bench.churn.held import gauges, held


def test_those_who_are_waited_for_longest_come_first() -> None:
    chosen = drawn(110, ways.WAYS)
    waited_for = [way in ways.WAITED_FOR for way in chosen]
    assert waited_for == sorted(waited_for, reverse=True)
    assert all(chosen.count(way) == 10 for way in ways.WAYS)


def test_the_values_of_all_labels_are_added_up() -> None:
    exposed = '# TYPE held gauge\nheld{kind="a b"} 1.0\nheld{kind="c"} 2.0\nother 4\n'
    assert gauges(exposed) == {"held": 3.0, "other": 4.0}


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="Linux only")
def test_what_a_process_holds_is_counted() -> None:
    values = {"tandem_tasks": 3.0, "tandem_calls": 1.0, "tandem_slots_taken": 2.0}
    before = held(values, os.getpid())
    with open(os.devnull, "rb"):
        after = held(values, os.getpid())
    assert after.files == before.files + 1
    assert (after.tasks, after.calls) == (3, 3)
    assert after.rss_mb > 1
    assert after.threads >= 1
