"""Decisions drawn from a fuzzer's bytes; when they are used up, all zeros."""

from collections.abc import Sequence
from typing import Any, TypeVar

T = TypeVar("T")

EDGES = (
    *(0, 1, 2, 3, 63, 64, 65, 255, 256, 257, 60_000, 60_001),
    *(2**31, 2**32 - 1, 2**63 - 2, 2**63 - 1),
)
"""Integers next to a limit of the link."""

MAX_JSON_DEPTH = 80
"""Levels that `Draw.json` makes at most: past the depth that the relay refuses."""


class Draw:
    """Reads a script from front to back."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def has_more(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        at, self._at = self._at, self._at + 1
        return self._data[at] if at < len(self._data) else 0

    def take(self, count: int) -> bytes:
        at, self._at = self._at, self._at + count
        return self._data[at : at + count]

    def rest(self) -> bytes:
        return self.take(len(self._data))

    def short(self) -> bytes:
        """Return up to 255 bytes."""
        return self.take(self.byte())

    def below(self, bound: int) -> int:
        """Return a number under `bound`, which is at most 65,536."""
        return (self.byte() << 8 | self.byte()) % bound

    def chance(self, share: float) -> bool:
        """Return true for that share of bytes; false when they are used up."""
        return self.byte() > 255 * (1 - share)

    def choice(self, options: Sequence[T]) -> T:
        return options[self.byte() % len(options)]

    def number(self) -> int:
        """Return an integer from 0 to 2**63 - 1: small, near a limit, or any."""
        match self.byte() % 4:
            case 0 | 1:
                return self.byte()
            case 2:
                return self.choice(EDGES)
            case _:
                return int.from_bytes(self.take(8)) >> 1

    def json(self, words: Sequence[str], depth: int = 0) -> Any:
        """Return a JSON value; names and most texts are among `words`."""
        kind = self.byte() % 10
        if kind >= 8 and depth < MAX_JSON_DEPTH:
            if kind == 8:
                return [self.json(words, depth + 1) for _ in range(self.byte() % 5)]
            return self.object(words, depth)
        if kind <= 4:
            return self.choice(words)
        if kind == 5:
            return self.choice((None, True, False, 0.25))
        return self.number() if kind == 6 else self.short().decode(errors="replace")

    def object(self, words: Sequence[str], depth: int = 0) -> dict[str, Any]:
        """Return a JSON object, as `json` does."""
        return {
            self.choice(words): self.json(words, depth + 1)
            for _ in range(self.byte() % 6)
        }
