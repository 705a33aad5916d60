"""What the workers of a service hold, in memory that all of them see.

Each writes its own row only, and reads all: no lock is needed, and one that dies can
leave none held. A cell is one aligned word, so that nobody reads half of a change. The
supervisor clears the row of one that has died.

    row    phase │ restarts │ beats │ inside │ inside, by name ...
"""

import enum
import mmap
from collections.abc import Iterable
from typing import Final

_CELL_BYTES: Final = 8
_PHASE, _RESTARTS, _BEATS, _INSIDE, _NAMES = range(5)


class Phase(enum.IntEnum):
    """What a worker does."""

    AWAY = 0
    RUNNING = 1
    DRAINING = 2


class Table:
    """The rows of all workers. Make it before they are forked.

    Args:
        workers: How many there are.
        names: What is counted by name as well.
    """

    def __init__(self, workers: int, names: Iterable[str] = ()) -> None:
        self._columns = {name: _NAMES + at for at, name in enumerate(sorted({*names}))}
        self._width = _NAMES + len(self._columns)
        memory = mmap.mmap(-1, workers * self._width * _CELL_BYTES)
        self._cells = memoryview(memory).cast("Q")
        self.workers = workers

    def phase(self, worker: int) -> Phase:
        """Return what a worker does."""
        return Phase(self._cells[worker * self._width + _PHASE])

    def enter(self, worker: int, phase: Phase) -> None:
        """Tell what a worker does now."""
        self._cells[worker * self._width + _PHASE] = phase

    def restarts(self, worker: int) -> int:
        """Return how often a worker has been replaced."""
        return self._cells[worker * self._width + _RESTARTS]

    def beat(self, worker: int) -> None:
        """Tell that a worker's loop turns."""
        self._cells[worker * self._width + _BEATS] += 1

    def rest(self, worker: int) -> None:
        """Tell that a worker's loop need not turn any more: it ends."""
        self._cells[worker * self._width + _BEATS] = 0

    def beats(self, worker: int) -> int | None:
        """Return how often a worker's loop has told it turns; None: it need not."""
        if self.phase(worker) is Phase.AWAY:
            return None
        return self._cells[worker * self._width + _BEATS] or None

    def inside(self, worker: int) -> int:
        """Return how many a worker holds."""
        return self._cells[worker * self._width + _INSIDE]

    def total(self) -> int:
        """Return how many all hold together."""
        return sum(self._cells[_INSIDE :: self._width])

    def of(self, name: str) -> int:
        """Return how many of a name all hold together."""
        return sum(self._cells[self._columns[name] :: self._width])

    def change(self, worker: int, name: str, by: int) -> None:
        """Count some in or out of a worker."""
        row = worker * self._width
        self._cells[row + _INSIDE] += by
        self._cells[row + self._columns[name]] += by

    def replace(self, worker: int) -> None:
        """Forget what a worker held: it has died, and another takes its place."""
        row = worker * self._width
        for cell in (_PHASE, *range(_BEATS, self._width)):
            self._cells[row + cell] = 0
        self._cells[row + _RESTARTS] += 1


class SharedCounts:
    """Who is inside, of all workers, as one of them counts.

    Args:
        table: Their rows.
        worker: Whose count is kept here.
    """

    def __init__(self, table: Table, worker: int) -> None:
        self._table = table
        self._worker = worker

    def total(self) -> int:
        """Return how many there are."""
        return self._table.total()

    def of(self, tenant: str) -> int:
        """Return how many of a tenant there are."""
        return self._table.of(tenant)

    def entered(self, tenant: str) -> None:
        """Count one more in."""
        self._table.change(self._worker, tenant, 1)

    def left(self, tenant: str) -> None:
        """Count one out again."""
        self._table.change(self._worker, tenant, -1)
