"""Word error: how many words must be changed to get from what was heard to the text."""

import re
from collections.abc import Sequence

_WORD = re.compile(r"[a-z']+")


def words(text: str) -> list[str]:
    """Return the words of a text, in lower case and without punctuation."""
    return _WORD.findall(text.lower())


def errors(said: Sequence[str], heard: Sequence[str]) -> int:
    """Return the fewest insertions, deletions and substitutions between the two."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            change = previous + (word != other)
            previous = row[j]
            row[j] = min(change, row[j] + 1, row[j - 1] + 1)
    return row[-1]
