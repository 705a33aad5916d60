"""When collections happen, in a process whose collector is put right afterwards."""

import gc
from collections.abc import Iterator

import pytest

from runtime.garbage import MADE, collect_seldom


@pytest.fixture
def seldom() -> Iterator[None]:
    before = gc.get_threshold()
    gc.collect()
    collect_seldom()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def collections() -> int:
    return sum(generation["collections"] for generation in gc.get_stats())


@pytest.mark.usefixtures("seldom")
def test_ups_and_downs_of_a_load_begin_no_collection() -> None:
    before = collections()
    for _ in range(20):
        assert len([[] for _ in range(MADE // 2)]) == MADE // 2
    assert collections() == before


@pytest.mark.usefixtures("seldom")
def test_a_collection_visits_only_what_was_made_since_the_last() -> None:
    young, old = (generation["collections"] for generation in gc.get_stats()[:2])
    kept: list[list[object]] = [[] for _ in range(15 * MADE)]
    assert gc.get_stats()[0]["collections"] >= young + len(kept) // MADE - 1
    assert gc.get_stats()[1]["collections"] == old


@pytest.mark.usefixtures("seldom")
def test_circles_are_collected_in_the_end() -> None:
    for _ in range(3 * MADE):
        circle: list[object] = []
        circle.append(circle)
        del circle
    assert gc.get_count()[0] <= MADE
    assert len(gc.get_objects()) < 2 * MADE


@pytest.mark.usefixtures("seldom")
def test_what_start_up_has_made_is_not_visited_again() -> None:
    assert gc.get_freeze_count() > 10_000
