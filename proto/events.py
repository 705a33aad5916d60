"""What a `Link` tells its owner; audio goes straight to a sink instead."""

from typing import NamedTuple

from proto.errors import CloseCode
from proto.payload import Payload


class LinkUp(NamedTuple):
    """The peer is proven; sessions may be opened."""


class LinkDown(NamedTuple):
    """The link has ended and all its sessions with it."""

    reason: str


class Offered(NamedTuple):
    """Listener: the peer asks for a session."""

    session: int
    request: bytes
    payloads: tuple[Payload, ...] = ()


class Opened(NamedTuple):
    """Dialer: the peer has accepted a session, with this payload."""

    session: int
    payload: Payload = Payload.PCM


class EventReceived(NamedTuple):
    """One event, in order, exactly once."""

    session: int
    payload: bytes


class FlushRequested(NamedTuple):
    """Dialer: drop the queued audio of all talkspurts up to this one."""

    session: int
    talkspurt: int


class FlushDone(NamedTuple):
    """Listener: the answer to the newest flush."""

    session: int
    talkspurt: int
    heard_samples: int


class Closed(NamedTuple):
    """A session that we did not close has ended."""

    session: int
    code: CloseCode
    reason: str


Event = (
    LinkUp
    | LinkDown
    | Offered
    | Opened
    | EventReceived
    | FlushRequested
    | FlushDone
    | Closed
)
