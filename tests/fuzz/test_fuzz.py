"""Every target, over its seeds and some mutations of them, the same in each run."""

import random

import pytest

from tests.fuzz.mutation import mutated
from tests.fuzz.seeds import seeds_of
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_do_only_what_is_allowed(name: str) -> None:
    target = TARGETS[name]
    run, seeds, rng = target.make(), seeds_of(name), random.Random(name)
    for data in seeds:
        run(data)
    for _ in range(target.mutations):
        data = mutated(rng, seeds)
        try:
            run(data)
        except BaseException as error:
            error.add_note(f"input {data.hex()}")
            raise


@pytest.mark.parametrize("name", TARGETS)
def test_mutations_are_repeated_by_their_seed(name: str) -> None:
    seeds = seeds_of(name)
    first, second = ([mutated(random.Random(7), seeds)] for _ in range(2))
    assert first == second
