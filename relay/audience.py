"""Who gets a call's events: its client, and the servers attached to it.

Everyone gets everything, but for an error that one attached server caused: that is for
it alone. Such an error is known by the `event_id` that it echoes, so only where the
server gave one.
"""

from collections.abc import Callable
from typing import Protocol

MAX_SIDEBANDS = 4
"""Servers attached to one call at a time: one that decides, one that watches, and as
many again while they are being replaced."""


class Listener(Protocol):
    """A server attached to a call, as its audience has it."""

    def tell(self, message: bytes) -> None:
        """Take an event."""

    def has_caused(self, event_id: str) -> bool:
        """Return whether the event of that id is one of its own."""

    def call_ended(self, reason: str) -> None:
        """Take the end of the call."""


class Audience:
    """The client of one call, and up to four servers."""

    def __init__(self, tell_client: Callable[[bytes], None]) -> None:
        self._tell_client = tell_client
        self._attached: dict[Listener, None] = {}

    @property
    def is_full(self) -> bool:
        """No more servers are taken."""
        return len(self._attached) >= MAX_SIDEBANDS

    def attach(self, listener: Listener) -> None:
        """Let a server have the events from now on."""
        self._attached[listener] = None

    def detach(self, listener: Listener) -> None:
        """Let it go."""
        self._attached.pop(listener, None)

    def tell(self, message: bytes, caused_by: str | None = None) -> None:
        """Give an event to whom it is for.

        Args:
            message: The event.
            caused_by: For an error, the id of the event that is wrong.
        """
        if caused_by is not None:
            for listener in self._attached:
                if listener.has_caused(caused_by):
                    listener.tell(message)
                    return
        self._tell_client(message)
        for listener in tuple(self._attached):
            listener.tell(message)

    def dismiss(self, reason: str) -> None:
        """Tell all servers that the call is over."""
        for listener in tuple(self._attached):
            listener.call_ended(reason)
