"""Frames into datagrams and out of them where no lane was compiled (`lane.pyx`)."""

from proto import wire
from proto.frames import DownFrame, UpFrame
from proto.messages import Down, Kind, Up
from proto.seal import Opener, Sealer


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


class FrameOpener:
    """Opens what one end receives, and may take the frames out of it.

    Args:
        opener: Has the keys and what was seen.
        kind: Of the frames: `Kind.UP` or `Kind.DOWN`.
    """

    def __init__(self, opener: Opener, kind: Kind) -> None:
        del kind
        self._open = opener.open

    def open(self, datagram: bytes) -> bytes | Up | Down:
        """Return the plaintext of a datagram, or the message that it is.

        Raises:
            Unauthentic: The seal does not fit.
            Replayed: The counter was used before, or is too old to tell.
        """
        return self._open(datagram)
