"""Identifiers as the Realtime API shapes them: a prefix and 21 letters or digits."""

import string
from typing import Protocol

_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 21
"""Characters after the prefix, as in the API's own ids; 125 bits."""


class Randomness(Protocol):
    """What is asked of `random.Random`."""

    def choices(self, population: str, *, k: int) -> list[str]:
        """Return `k` characters."""


class Ids:
    """Makes ids from a source of randomness (seeded in tests)."""

    def __init__(self, random: Randomness) -> None:
        self._random = random

    def new(self, prefix: str) -> str:
        """Return for instance `item_Bq0...`."""
        return prefix + "_" + "".join(self._random.choices(_ALPHABET, k=_LENGTH))
