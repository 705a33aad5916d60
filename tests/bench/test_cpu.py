from bench.load.cpu import Spent, by_core


def test_what_processes_used_since_is_told_by_the_core_where_they_ran_last() -> None:
    before = {1: Spent(1.0, 0), 2: Spent(5.0, 0), 3: Spent(9.0, 1)}
    after = {1: Spent(1.5, 0), 2: Spent(5.25, 1), 4: Spent(0.5, 0)}
    assert by_core(before, after) == {0: 1.0, 1: 0.25}
