"""Who gets a call's events: its client, and the servers attached to it.

Everyone gets everything, but for an error that one attached server caused: that is for
it alone. Such an error is known by the `event_id` that it echoes, so only where the
server gave one. Programs count their events alike, so an id may have been given by two:
an error about it is for everyone.
"""

from collections.abc import Callable
from typing import Protocol

from relay.nobody import nobody

MAX_SIDEBANDS = 4
"""Servers attached to one call at a time: one that decides, one that watches, and as
many again while they are being replaced."""

MAX_IDS = 1_024
"""Latest ids whose senders are remembered, as many as events wait for an upstream; of
more, the oldest is forgotten, and an error about it is for everyone."""

MAX_ID_CHARACTERS = 512
"""Longest id that is remembered, the API's own bound; an error about a longer one is
for everyone."""


class Listener(Protocol):
    """A server attached to a call, as its audience has it."""

    def tell(self, message: bytes) -> None:
        """Take an event."""

    def call_ended(self, reason: str) -> None:
        """Take the end of the call."""


class Audience:
    """The client of one call, and up to four servers."""

    def __init__(self, tell_client: Callable[[bytes], None]) -> None:
        self._tell_client = tell_client
        self._attached: dict[Listener, None] = {}
        self._senders: dict[str, Listener | None] = {}
        """By event id; None: the client, or more than one."""

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
        self._senders = {
            event_id: sender
            for event_id, sender in self._senders.items()
            if sender is not listener
        }

    def has_sent(self, event_id: str | None, sender: Listener | None) -> None:
        """Remember who sent an event; None: the client."""
        if event_id is None or len(event_id) > MAX_ID_CHARACTERS:
            return
        before = self._senders.pop(event_id, sender)
        self._senders[event_id] = sender if before is sender else None
        if len(self._senders) > MAX_IDS:
            del self._senders[next(iter(self._senders))]

    def sender_of(self, event_id: str | None) -> Listener | None:
        """Return the attached server that alone gave an event its id."""
        return None if event_id is None else self._senders.get(event_id)

    def tell(self, message: bytes, caused_by: str | None = None) -> None:
        """Give an event to whom it is for.

        Args:
            message: The event.
            caused_by: For an error, the id of the event that is wrong.
        """
        if sender := self.sender_of(caused_by):
            sender.tell(message)
            return
        self._tell_client(message)
        for listener in tuple(self._attached):
            listener.tell(message)

    def dismiss(self, reason: str) -> None:
        """Tell all servers that the call is over; nobody is told anything after it."""
        for listener in tuple(self._attached):
            listener.call_ended(reason)
        self._attached.clear()
        self._tell_client = nobody
