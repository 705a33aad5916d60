"""Whose fault it is, and why a session ended.

LinkError
├── LocalError          our bug or misuse: raised to the caller
│   ├── NotConnected    no link, or the session is closed
│   └── Backlogged      the session's send queue is full
└── RemoteError         the peer's fault: counted, dropped, never raised into the loop
"""

import enum


class LinkError(Exception):
    """Any error of the link."""


class LocalError(LinkError):
    """This end used the link wrongly or too fast."""


class NotConnected(LocalError):  # noqa: N818  # reads as what happened
    """There is no link, or the session is not open for this."""


class Backlogged(LocalError):  # noqa: N818  # reads as what happened
    """The peer takes messages more slowly than they are sent; the queue is full."""


class RemoteError(LinkError):
    """The peer, or one posing as it, sent what the specification does not allow."""


class CloseCode(enum.IntEnum):
    """Why a session ended; crosses the wire (PROTOCOL.md 5)."""

    NORMAL = 0
    LINK_LOST = 1
    REFUSED_CAPACITY = 2
    REFUSED_UPSTREAM = 3
    UPSTREAM_LOST = 4
    PROTOCOL = 5
    DRAINING = 6
    TIMEOUT = 7
    INTERNAL = 8
