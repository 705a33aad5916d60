"""Garbage collection, kept out of the way of media.

What is over is freed by its last reference; only circles wait for a collection, and
neither calls nor sessions leave any that count. Yet Python collects whenever 700 more
objects were made than let go, to which the ups and downs of any load add up, and then
visits all that was made since the time before: of a service that makes and lets go all
the time, nearly all that lives; each eleventh time what survived the last ten, too. Of
260 calls in conversation that was a standstill of 7 to 21 ms every few seconds, and of
up to 28 ms while they began.

A collection takes some 0.4 us for each object, and one of 20 ms is a gap of 40 that all
callers hear. With these bounds 280 calls began with standstills of 3 to 6 ms, one for
some 18 calls (of the relay: up to 10 ms), and went on with none (all measured).
"""

import gc
from typing import Final

MADE: Final = 10_000
"""Objects, more than were let go, before they are visited: some 18 calls that begin."""

YOUNG: Final = 1_000
"""Such collections before one visits all that has been made since start-up."""


def collect_seldom() -> None:
    """Visit what start-up has made no more, and all else seldom."""
    gc.freeze()
    gc.set_threshold(MADE, YOUNG)
