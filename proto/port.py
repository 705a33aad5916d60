"""What the parts of a session ask of their link and of their owner."""

import enum
from typing import Protocol

from proto.events import Event
from proto.frames import DownFrame, UpFrame
from proto.messages import Control
from proto.sharing import Sharing
from proto.stats import Rtt


class Role(enum.Enum):
    """Which end of the link this is."""

    DIALER = enum.auto()
    LISTENER = enum.auto()


class FrameSink(Protocol):
    """Takes audio straight from the core; must not block."""

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        """Take the next frame."""

    def failed(self, error: Exception) -> None:
        """End the session: `frame_received` has raised."""

    def frames_lost(self, count: int) -> None:
        """Take note that so many frames before the next one will not come.

        A faulty peer can make `count` any number up to 2^63.
        """


class Deaf:
    """The sink of a session before its owner has given one."""

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        """Drop it."""

    def failed(self, error: Exception) -> None:
        """Never called."""

    def frames_lost(self, count: int) -> None:
        """Forget it."""


class Speaker(Protocol):
    """The sender of a session's audio, as its link sees it.

    Attributes:
        sent_at: When it sent its last frame.
        doubtful: Frames to be sent a second time.
    """

    sent_at: float
    doubtful: list[int]

    def tell_last(self, now: float, quiet_s: float) -> bool:
        """Say that no frame follows if none was sent for `quiet_s`; True: all said."""


class Port(Protocol):
    """The link as its sessions see it.

    Attributes:
        asked_at: When the peer last asked for a frame again; -math.inf: never.
    """

    rtt: Rtt
    sharing: Sharing
    asked_at: float

    def seal_frame(self, session: int, seq: int, frame: UpFrame | DownFrame) -> bytes:
        """Return the datagram of a frame of this end's direction."""

    def send(self, message: Control) -> None:
        """Seal a message and put it among the outgoing datagrams."""

    def transmit(self, datagram: bytes) -> None:
        """Put a sealed datagram among the outgoing ones."""

    def spoke(self, speaker: Speaker, now: float) -> None:
        """Call `tell_last` from now on until it returns True."""

    def emit(self, event: Event) -> None:
        """Tell the owner."""
