"""What a session core has to say: events for the client, commands for the shell.

Both are drained after every call into the core, so they hold what one call produced.
"""

from collections import deque
from dataclasses import dataclass
from typing import Any

from relay.engine.ids import Ids
from relay.engine.ports import Request
from relay.engine.schema import Json


@dataclass(frozen=True, slots=True)
class Listen:
    """Start hearing a turn: pull its audio until its text is final."""

    item_id: str


@dataclass(frozen=True, slots=True)
class Respond:
    """Start a reply."""

    response_id: str
    request: Request
    speaks: bool
    speed: float


@dataclass(frozen=True, slots=True)
class Abort:
    """Stop a reply; nothing it still yields is wanted."""

    response_id: str


Command = Listen | Respond | Abort


class Outbox:
    """Events and commands in order, and the ids in them."""

    def __init__(self, ids: Ids) -> None:
        self.new_id = ids.new
        self._events: deque[Json] = deque()
        self._commands: deque[Command] = deque()

    def emit(self, kind: str, /, **fields: Any) -> None:
        """Add a server event."""
        self._events.append({"type": kind, "event_id": self.new_id("event"), **fields})

    def order(self, command: Command) -> None:
        """Add a command."""
        self._commands.append(command)

    def take_event(self) -> Json | None:
        """Return the next server event to send, or None."""
        return self._events.popleft() if self._events else None

    def take_commands(self) -> list[Command]:
        """Return the work to start or stop, in order."""
        taken = list(self._commands)
        self._commands.clear()
        return taken
