"""Room for calls and WebSocket sessions: how many at a time, in all and a key.

open ──drain()──► draining: no more are let in, those inside stay ──► empty: told once
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator


class Full(Exception):  # noqa: N818  # reads as what happened
    """No more are taken now by this edge; the message says why."""


class TooMany(Exception):  # noqa: N818  # reads as what happened
    """No more are taken now of this key; the message says why."""


class Admission:
    """The slots of one edge.

    Args:
        max_calls: Calls and WebSocket sessions at a time.
        max_calls_per_key: Of one API key and the client secrets it minted; 0: no bound.
    """

    def __init__(self, *, max_calls: int, max_calls_per_key: int = 0) -> None:
        self._max_calls = max_calls
        self._max_calls_per_key = max_calls_per_key
        self._taken: Counter[str] = Counter()
        self.is_draining = False
        self._on_empty: Callable[[], None] | None = None

    def __len__(self) -> int:
        return self._taken.total()

    @contextlib.contextmanager
    def slot(self, tenant: str) -> Iterator[None]:
        """Hold a slot for the length of a block.

        Raises:
            Full: All slots are taken, or the edge is stopping.
            TooMany: The tenant has all that a key may have.
        """
        self._check(tenant)
        self._taken[tenant] += 1
        try:
            yield
        finally:
            self._taken[tenant] -= 1
            if not self._taken[tenant]:
                del self._taken[tenant]
            self._tell_if_empty()

    def drain(self, on_empty: Callable[[], None] | None = None) -> None:
        """Let nobody in any more; `on_empty` is called once nobody is inside."""
        self.is_draining = True
        self._on_empty = on_empty
        self._tell_if_empty()

    def _tell_if_empty(self) -> None:
        if self._on_empty is not None and not self._taken:
            on_empty, self._on_empty = self._on_empty, None
            on_empty()

    def _check(self, tenant: str) -> None:
        if self.is_draining:
            raise Full("this edge is stopping")
        if 0 < self._max_calls_per_key <= self._taken[tenant]:
            raise TooMany(f"this key has all its {self._max_calls_per_key} calls")
        if len(self) >= self._max_calls:
            raise Full(f"all {self._max_calls} calls are taken")
