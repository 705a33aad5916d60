"""A process's place among those that run one service: alone, or one of several workers.

What workers share is made by their supervisor before they are forked: the sockets that
all accept from, the table of what each holds, and a mailbox each, by which the others
hand it connections. All of it has no name in the file system or the network, so that
nobody else can reach it. The line to the supervisor carries orders down and wishes up;
its end tells that the supervisor is gone.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from runtime.listening import bound
from runtime.settings import Address
from runtime.table import Phase, SharedCounts, Table

DRAIN: Final = b"d"
"""Down: take nothing new. Up: let all workers do so."""

STOP: Final = b"s"
"""Down: end now."""

Sockets = tuple[socket.socket, ...]


class Share(NamedTuple):
    """What the workers of a service have in common, as its settings say.

    Attributes:
        workers: How many there are.
        doors: What all accept from.
        names: What is counted by name over all of them.
    """

    workers: int = 1
    doors: tuple[Address, ...] = ()
    names: tuple[str, ...] = ()


class Mailbox(NamedTuple):
    """Two ends of a datagram socket; the messages are file descriptors."""

    inbox: socket.socket
    outbox: socket.socket


@dataclass(frozen=True, slots=True)
class Common:
    """What all workers share."""

    table: Table
    doors: Mapping[Address, Sockets]
    mailboxes: tuple[Mailbox, ...]


@dataclass(frozen=True, slots=True)
class Worker:
    """One process of a service.

    Attributes:
        index: From 0; what has a port of its own adds it to the first one's.
        common: What it shares with others; None: it is alone.
        line: To the supervisor, if there is one.
    """

    index: int = 0
    common: Common | None = None
    line: socket.socket | None = None

    @property
    def number(self) -> int | None:
        """Its index; None: it is alone."""
        return None if self.common is None else self.index

    @property
    def table(self) -> Table | None:
        """What each worker holds; None: this process is alone."""
        return None if self.common is None else self.common.table

    def counts(self) -> SharedCounts | None:
        """Return who is inside, of all workers; None: this process is alone."""
        table = self.table
        return None if table is None else SharedCounts(table, self.index)

    def sockets(self, address: Address) -> Sockets:
        """Return what to accept from at an address of the service's doors.

        Raises:
            OSError: It cannot be bound; names it.
        """
        if self.common is None:
            return bound(address)
        return self.common.doors[address]

    def enter(self, phase: Phase) -> None:
        """Tell supervisor and siblings what this worker does now."""
        if self.common is not None:
            self.common.table.enter(self.index, phase)

    def beat(self) -> None:
        """Tell the supervisor that this worker's loop turns."""
        if self.common is not None:
            self.common.table.beat(self.index)

    def rest(self) -> None:
        """Tell the supervisor that the loop need not turn any more."""
        if self.common is not None:
            self.common.table.rest(self.index)

    def ask_for_drain(self) -> bool:
        """Ask the supervisor to drain all; False if there is none to ask."""
        if self.line is None:
            return False
        self.line.send(DRAIN)
        return True


ALONE: Final = Worker()
"""The one process of a service that has no workers."""
