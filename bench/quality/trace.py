"""Which packets are lost: the same ones for everybody who is compared. Pure."""

import random
from typing import NamedTuple

SPARED_PACKETS = 5
"""At the start, so that every decoder has begun."""

BURST_PACKETS = (2, 3)
"""Least and most that a burst takes."""


class Weather(NamedTuple):
    """How a path loses.

    Attributes:
        percent: Of all packets, on average.
        in_bursts: Two or three in a row, else each by chance.
    """

    percent: int
    in_bursts: bool = False

    def __str__(self) -> str:
        return f"{self.percent} %{' in bursts' * self.in_bursts}"


WEATHERS = (Weather(0), Weather(2), Weather(5), Weather(10), Weather(10, True))
"""The first is clear, the next three are what the claims are about."""


def lost(weather: Weather, packets: int, seed: int = 1) -> list[bool]:
    """Return for each packet of a stream whether it is lost."""
    rng = random.Random(f"{seed} {weather}")
    count = packets - SPARED_PACKETS
    if weather.in_bursts:
        flags = _bursts(rng, weather.percent / 100, count)
    else:
        flags = [rng.uniform(0, 100) < weather.percent for _ in range(count)]
    return [False] * SPARED_PACKETS + flags


def _bursts(rng: random.Random, share: float, packets: int) -> list[bool]:
    """Return losses that are all of them bursts, with a packet or more between two."""
    mean = sum(BURST_PACKETS) / 2
    gap = mean * (1 - share) / share  # packets that arrive between two, on average
    flags: list[bool] = []
    while len(flags) < packets:
        flags += [False] * max(1, round(rng.expovariate(1 / gap)))
        flags += [True] * rng.randint(*BURST_PACKETS)
    return flags[:packets]
