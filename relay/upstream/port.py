"""What a session asks of an upstream, and what an upstream tells a session.

UpstreamError
├── UpstreamRefused   no connection came about: wrong key, rate limit, unreachable
└── UpstreamLost      the connection ended while the session needed it
"""

import asyncio
from typing import Protocol

from relay.upstream.events import UpstreamEvent


class UpstreamError(Exception):
    """The upstream cannot go on with a session.

    Attributes:
        code: For programs; the `code` of the error event that the client gets.
        message: For people and logs; says what happened in words of our own.
        close_code: With which a WebSocket client's connection closes; None: 1011.
        close_reason: What the upstream gave as its reason: for the client only, since
            it may quote what was said; None: the message says it all.
    """

    close_code: int | None = None
    close_reason: str | None = None

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class UpstreamRefused(UpstreamError):  # noqa: N818  # reads as what happened
    """No connection came about."""


class UpstreamLost(UpstreamError):  # noqa: N818  # reads as what happened
    """The connection ended while the session needed it."""


class Receiver(Protocol):
    """The session, as its upstream sees it."""

    has_media: bool
    """It plays the model's audio; False: that passes like any event."""

    def upstream_connected(self) -> None:
        """The upstream takes events now."""

    def upstream_event(self, event: UpstreamEvent, message: bytes) -> None:
        """Take an event and the JSON text it came in; must not block.

        Raises:
            UpstreamError: The session is not to go on after it.
        """


class Upstream(Protocol):
    """One session with a model."""

    is_live: bool
    """Its audio comes in real time, so none of it is held back."""

    @property
    def waiting(self) -> int:
        """Messages that it has not taken yet."""

    async def run(self, receiver: Receiver, tasks: asyncio.TaskGroup) -> None:
        """Converse until cancelled.

        Args:
            receiver: Gets the events.
            tasks: The session's; owns what else the upstream has to run.

        Raises:
            UpstreamError: It cannot begin or go on.
        """

    def send(self, payload: bytes) -> None:
        """Send an event, in order, as soon as there is a connection."""

    async def room(self, size_bytes: int) -> None:
        """Wait until `send` has room for an event: for who can be made to wait.

        Returns at once when the conversation is over, and room means nothing.
        """

    def append(self, pcm: bytes) -> None:
        """Send the caller's audio (s16le mono 24 kHz)."""

    def append_silence(self, samples: int) -> None:
        """Send silence where the caller's audio has a gap."""
