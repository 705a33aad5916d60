"""Mutations of seeds, repeated exactly by the seed of their generator."""

import random
from collections.abc import Sequence

LONGEST_BYTES = 2048
INTERESTING = (0, 1, 0x7F, 0x80, 0xC0, 0xFF)


def mutated(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Return one of the seeds after one to six changes, or noise."""
    if rng.random() < 0.2:
        return rng.randbytes(rng.choice((1, 16, 64, 400)))
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, 6)):
        _change(rng, data, seeds)
    return bytes(data[:LONGEST_BYTES])


def _change(rng: random.Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    at = rng.randrange(len(data) + 1)
    match rng.randrange(6):
        case 0 if at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        case 1 if at < len(data):
            data[at] = rng.choice(INTERESTING)
        case 2:
            data[at:at] = rng.randbytes(rng.choice((1, 2, 8, 40)))
        case 3:
            del data[at : at + rng.choice((1, 2, 8, 40))]
        case 4:
            other = rng.choice(seeds)
            data[at:] = other[rng.randrange(len(other) + 1) :]
        case _:
            end = at + rng.choice((2, 8, 40))
            data[at:at] = data[at:end]
