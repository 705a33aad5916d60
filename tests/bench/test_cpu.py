import os

import pytest

from bench.compare.awake import awake
from bench.load.cpu import Spent, by_core, spent_by_all


def test_what_processes_used_since_is_told_by_the_core_where_they_ran_last() -> None:
    before = {1: Spent(1.0, 0), 2: Spent(5.0, 0), 3: Spent(9.0, 1)}
    after = {1: Spent(1.5, 0), 2: Spent(5.25, 1), 4: Spent(0.5, 0)}
    assert by_core(before, after) == {0: 1.0, 1: 0.25}


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="Linux only")
def test_what_keeps_a_core_awake_takes_it_from_nobody() -> None:
    before = spent_by_all()
    with awake(os.sched_getaffinity(0)):
        after = spent_by_all()
        idle = {pid for pid, spent in after.items() if spent.is_idle}
        begun = idle - {pid for pid, spent in before.items() if spent.is_idle}
    assert len(begun) == len(os.sched_getaffinity(0))
    assert by_core({}, {pid: after[pid] for pid in begun}) == {}
    assert not begun & spent_by_all().keys()
