"""Who finds room."""

import contextlib

import pytest
from hypothesis import given, strategies as st

from transceiver.admission import Admission, Full, OwnCounts, TooMany


def test_one_too_many_is_refused_until_one_leaves() -> None:
    admission = Admission(max_calls=2)
    with admission.slot("a"):
        with (
            admission.slot("b"),
            pytest.raises(Full, match="2 calls"),
            admission.slot("c"),
        ):
            pass
        with admission.slot("c"):
            assert len(admission) == 2
    assert len(admission) == 0


def test_a_key_has_its_own_bound_and_takes_no_room_of_others() -> None:
    admission = Admission(max_calls=10, max_calls_per_key=1)
    with admission.slot("a"), admission.slot("b"):
        with pytest.raises(TooMany, match="1 calls"), admission.slot("a"):
            pass
        assert len(admission) == 2
    with admission.slot("a"):
        pass


def test_a_block_that_fails_gives_its_slot_back() -> None:
    admission = Admission(max_calls=1)
    for _ in range(3):
        with pytest.raises(OSError, match="broken"), admission.slot("a"):
            raise OSError("broken")


def test_an_edge_that_drains_keeps_who_is_inside_and_takes_nobody() -> None:
    admission = Admission(max_calls=2)
    with admission.slot("a"):
        admission.drain()
        assert len(admission) == 1
        with pytest.raises(Full, match="stopping"), admission.slot("a"):
            pass
    assert len(admission) == 0


def test_an_edge_that_drains_hears_once_that_the_last_has_left() -> None:
    told: list[str] = []
    admission = Admission(max_calls=2)
    with admission.slot("a"), admission.slot("b"):
        admission.drain(lambda: told.append("empty"))
        assert told == []
    assert told == ["empty"]


def test_an_edge_that_drains_with_nobody_inside_hears_it_at_once() -> None:
    told: list[str] = []
    Admission(max_calls=2).drain(lambda: told.append("empty"))
    assert told == ["empty"]


def test_an_edge_without_cpu_to_spare_takes_nobody_and_keeps_who_is_inside() -> None:
    admission = Admission(max_calls=3)
    with admission.slot("a"):
        admission.is_overloaded = True
        with pytest.raises(Full, match="overloaded"), admission.slot("b"):
            pass
        assert len(admission) == 1
        admission.is_overloaded = False
        with admission.slot("b"):
            assert len(admission) == 2
    assert admission.refused_overload == 1


def test_a_refusal_for_another_reason_is_not_counted_as_overload() -> None:
    admission = Admission(max_calls=1)
    with admission.slot("a"), pytest.raises(Full), admission.slot("a"):
        pass
    assert admission.refused_overload == 0


def test_bounds_hold_over_all_that_share_them_and_each_drains_by_itself() -> None:
    counts = OwnCounts()
    one, other = (
        Admission(max_calls=3, max_calls_per_key=2, counts=counts) for _ in range(2)
    )
    told: list[str] = []
    with one.slot("a"), other.slot("a"):
        with pytest.raises(TooMany), one.slot("a"):
            pass
        with one.slot("b"), pytest.raises(Full, match="3 calls"), other.slot("c"):
            pass
        assert len(one) == len(other) == 1
        one.drain(lambda: told.append("empty"))
        assert told == []
    assert told == ["empty"]
    assert counts.total() == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_no_bound_is_ever_exceeded_and_every_slot_comes_back(
    steps: list[tuple[str, bool]],
) -> None:
    admission = Admission(max_calls=4, max_calls_per_key=2)
    inside: list[tuple[str, contextlib.ExitStack]] = []
    for tenant, enters in steps:
        if enters:
            held = contextlib.ExitStack()
            with contextlib.suppress(Full, TooMany):
                held.enter_context(admission.slot(tenant))
                inside.append((tenant, held))
        elif inside:
            inside.pop(0)[1].close()
        assert len(admission) == len(inside) <= 4
        assert all(sum(name == one for name, _ in inside) <= 2 for one in "abc")
    for _, held in inside:
        held.close()
    assert len(admission) == 0
