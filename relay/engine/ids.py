"""Identifiers as the Realtime API shapes them: a prefix and 21 letters or digits."""

import string
from random import Random

_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 21
"""Characters after the prefix, as in the API's own ids; 125 bits."""


class Ids:
    """Makes ids from a source of randomness (seeded in tests)."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def new(self, prefix: str) -> str:
        """Return for instance `item_Bq0...`."""
        return prefix + "_" + "".join(self._random.choices(_ALPHABET, k=_LENGTH))
