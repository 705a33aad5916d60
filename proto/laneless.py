"""Frames into datagrams and out of them where no lane was compiled (`lane.pyx`)."""

from collections.abc import Callable, Mapping
from typing import Protocol

from proto import wire
from proto.audio import Audio
from proto.frames import DownFrame, UpFrame
from proto.liveness import Liveness
from proto.messages import Down, Kind, Up
from proto.seal import Opener, Sealer
from proto.session import Session


class FrameSealer:
    """Seals the frames of one end.

    Args:
        sealer: Has the keys and the counter.
        kind: Of the frames: `Kind.UP` or `Kind.DOWN`.
    """

    def __init__(self, sealer: Sealer, kind: Kind) -> None:
        self._seal = sealer.seal
        self._encode = wire.encode_up if kind is Kind.UP else wire.encode_down

    def seal(self, session: int, seq: int, frame: UpFrame | DownFrame) -> bytes:
        """Return the datagram of a frame of that kind."""
        return self._seal(self._encode(session, seq, frame))  # type: ignore[arg-type]  # of its kind

    def sender(self, audio: Audio, live: "Live") -> "FrameSender":
        """Return what sends the frames of a session."""
        return FrameSender(self, audio, live)


Address = tuple[str, int]
"""A UDP address: host and port."""


class Live(Protocol):
    """The link of a sender, and its socket.

    Attributes:
        now: Returns the loop's time, seconds.
        send: Sends a datagram to an address.
        address: Where the peer is.
    """

    now: Callable[[], float]
    send: Callable[[bytes, Address], None]
    address: Address

    def transmit(self, datagram: bytes) -> None:
        """Send a sealed frame, and see to what else is ready."""


class FrameSender:
    """Sends the frames of one session.

    Args:
        sealer: The link's.
        audio: The session's.
        live: The link.

    Attributes:
        unsent: Frames that were not sent, for the session was not open.
    """

    def __init__(self, sealer: FrameSealer, audio: Audio, live: Live) -> None:
        del sealer  # the audio has it from its port
        self.unsent = 0
        self._seal_frame = audio.seal_frame
        self._live = live

    def send(self, frame: UpFrame | DownFrame) -> None:
        """Send a frame; it is counted and dropped when the session is not open."""
        live = self._live
        datagram = self._seal_frame(frame, live.now())
        if datagram is None:
            self.unsent += 1
        else:
            live.transmit(datagram)


class FrameOpener:
    """Opens what one end receives, and may hand the frames in it on.

    Args:
        opener: Has the keys and what was seen.
        kind: Of the frames: `Kind.UP` or `Kind.DOWN`.
        sessions: Those of the link, by id.
        liveness: Is told that the peer was heard.
    """

    def __init__(
        self,
        opener: Opener,
        kind: Kind,
        sessions: Mapping[int, Session],
        liveness: Liveness,
    ) -> None:
        del kind, sessions, liveness
        self._open = opener.open

    def receive(self, datagram: bytes, now: float) -> bool | bytes | Up | Down:
        """Take a datagram.

        Returns:
            Whether it is newer than all before, if there was a frame in it that has
            been handed on; else what was in it: a message, or the plaintext of one.

        Raises:
            Unauthentic: The seal does not fit.
            Replayed: The counter was used before, or is too old to tell.
        """
        del now
        return self._open(datagram)
