"""What workers know of each other through shared memory."""

from hypothesis import given, strategies as st

from runtime.table import Phase, SharedCounts, Table


def test_each_counts_for_itself_and_sees_all() -> None:
    table = Table(2, ("a", "b"))
    one, other = SharedCounts(table, 0), SharedCounts(table, 1)
    one.entered("a")
    other.entered("a")
    other.entered("b")
    assert one.total() == other.total() == 3
    assert one.of("a") == other.of("a") == 2
    assert one.of("b") == 1
    assert [table.inside(worker) for worker in (0, 1)] == [1, 2]
    other.left("a")
    assert one.of("a") == 1


def test_what_a_dead_worker_held_is_free_and_its_replacement_is_counted() -> None:
    table = Table(2, ("a",))
    table.enter(0, Phase.RUNNING)
    table.enter(1, Phase.DRAINING)
    for worker in (0, 1):
        SharedCounts(table, worker).entered("a")
    table.replace(1)
    assert [table.phase(worker) for worker in (0, 1)] == [Phase.RUNNING, Phase.AWAY]
    assert (table.total(), table.of("a"), table.inside(1)) == (1, 1, 0)
    assert [table.restarts(worker) for worker in (0, 1)] == [0, 1]


def test_who_starts_or_rests_needs_no_beats() -> None:
    table = Table(2)
    table.beat(1)
    assert table.beats(1) is None
    table.enter(1, Phase.RUNNING)
    table.beat(1)
    table.enter(1, Phase.DRAINING)
    assert [table.beats(worker) for worker in (0, 1)] == [None, 2]
    table.rest(1)
    assert table.beats(1) is None
    table.beat(1)
    table.replace(1)
    table.enter(1, Phase.RUNNING)
    assert table.beats(1) is None


def test_nothing_needs_to_be_counted_by_name() -> None:
    table = Table(3)
    assert table.total() == 0
    table.replace(2)
    assert table.restarts(2) == 1


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from("abc")), max_size=60),
    st.integers(0, 3),
)
def test_sums_are_those_of_the_living(
    entered: list[tuple[int, str]], dies: int
) -> None:
    table = Table(4, "abc")
    for worker, name in entered:
        SharedCounts(table, worker).entered(name)
    table.replace(dies)
    left = [(worker, name) for worker, name in entered if worker != dies]
    assert table.total() == len(left)
    for name in "abc":
        assert table.of(name) == sum(one == name for _, one in left)
