"""Room for calls and WebSocket sessions: how many at a time, in all and a key.

open ──drain()──► draining: no more are let in, those inside stay ──► empty: told once

While it is overloaded nobody is let in either; that passes.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Protocol


class Full(Exception):  # noqa: N818  # reads as what happened
    """No more are taken now by this edge; the message says why."""


class TooMany(Exception):  # noqa: N818  # reads as what happened
    """No more are taken now of this key; the message says why."""


class Counts(Protocol):
    """Who is inside, of all processes that share the bounds.

    Each counts itself in before it looks, so that of two that come at once for the last
    slot both may be refused, but never both be let in.
    """

    def total(self) -> int:
        """Return how many there are."""

    def of(self, tenant: str) -> int:
        """Return how many of a tenant there are."""

    def entered(self, tenant: str) -> None:
        """Count one more in."""

    def left(self, tenant: str) -> None:
        """Count one out again, who entered here."""


class OwnCounts:
    """Those of this process alone."""

    def __init__(self) -> None:
        self._inside: Counter[str] = Counter()

    def total(self) -> int:
        """Return how many there are."""
        return self._inside.total()

    def of(self, tenant: str) -> int:
        """Return how many of a tenant there are."""
        return self._inside[tenant]

    def entered(self, tenant: str) -> None:
        """Count one more in."""
        self._inside[tenant] += 1

    def left(self, tenant: str) -> None:
        """Count one out again."""
        self._inside[tenant] -= 1
        if not self._inside[tenant]:
            del self._inside[tenant]


class Admission:
    """The slots of one edge.

    Args:
        max_calls: Calls and WebSocket sessions at a time.
        max_calls_per_key: Of one API key and the client secrets it minted; 0: no bound.
        counts: What the bounds are held against; None: this process's own.

    Attributes:
        is_overloaded: Nobody is let in for want of CPU.
        refused_overload: How many that has turned away.
    """

    def __init__(
        self,
        *,
        max_calls: int,
        max_calls_per_key: int = 0,
        counts: Counts | None = None,
    ) -> None:
        self._max_calls = max_calls
        self._max_calls_per_key = max_calls_per_key
        self._counts: Counts = OwnCounts() if counts is None else counts
        self._inside = 0
        self.is_draining = False
        self.is_overloaded = False
        self.refused_overload = 0
        self._on_empty: Callable[[], None] | None = None

    def __len__(self) -> int:
        """Return how many hold a slot in this process."""
        return self._inside

    @contextlib.contextmanager
    def slot(self, tenant: str) -> Iterator[None]:
        """Hold a slot for the length of a block.

        Raises:
            Full: All slots are taken, or the edge is stopping or overloaded.
            TooMany: The tenant has all that a key may have.
        """
        self._check_open()
        self._counts.entered(tenant)
        try:
            self._check_bounds(tenant)
            self._inside += 1
            try:
                yield
            finally:
                self._inside -= 1
        finally:
            self._counts.left(tenant)
            self._tell_if_empty()

    def drain(self, on_empty: Callable[[], None] | None = None) -> None:
        """Let nobody in any more; `on_empty` is called once nobody is inside."""
        self.is_draining = True
        self._on_empty = on_empty
        self._tell_if_empty()

    def _tell_if_empty(self) -> None:
        if self._on_empty is not None and not self._inside:
            on_empty, self._on_empty = self._on_empty, None
            on_empty()

    def _check_open(self) -> None:
        if self.is_draining:
            raise Full("this edge is stopping")
        if self.is_overloaded:
            self.refused_overload += 1
            raise Full("this edge is overloaded")

    def _check_bounds(self, tenant: str) -> None:
        """Refuse who is one too many, counted in already."""
        if 0 < self._max_calls_per_key < self._counts.of(tenant):
            raise TooMany(f"this key has all its {self._max_calls_per_key} calls")
        if self._counts.total() > self._max_calls:
            raise Full(f"all {self._max_calls} calls are taken")
