"""The lanes where none were compiled: nothing takes them. Also, what a lane offers.

A lane is the compiled short cut of `media` for what is usual (`lane.pyx`). Entered, it
takes the state of the modules below `media` over; left, it gives all of it back. What
it does not take goes the long way, which here is the only one.
"""

from collections.abc import Callable
from typing import Literal

from proto.frames import DownFrame, UpFrame
from runtime.stages import Stopwatch
from transceiver.depacketizer import Depacketizer
from transceiver.packetizer import Packetizer
from transceiver.playout import Playout
from transceiver.srtp import SrtpReceiver, SrtpSender
from transceiver.timer import Alarm


class DownLane:
    """The way down of a leg, in the midst of a talkspurt.

    Args:
        playout: When frames are due.
        packetizer: The encoder, and RTP's numbers.
        sender: SRTP.
        send: Puts a datagram on the wire.
        alarm: Rings for what is due.

    Attributes:
        is_on: It has been entered, and not left.
        count: Frames that wait in it.
        taken: Packets it has made, which the packetizer does not know of yet.
        taken_repeating: Those of them that repeat others.
        next_due: As of the playout, which does not know while this is on.
        heard: Likewise.
    """

    is_on: bool = False
    count: int = 0
    taken: int = 0
    taken_repeating: int = 0

    def __init__(
        self,
        playout: Playout,
        packetizer: Packetizer,
        sender: SrtpSender,
        send: Callable[[bytes], None],
        alarm: Alarm,
    ) -> None:
        del alarm
        self.next_due, self.heard = playout.next_due, playout.heard

    def enter(self, stopwatch: Stopwatch) -> None:
        """Take over, if all is as usual."""

    def leave(self) -> None:
        """Give everything back."""

    def play(self, frame: UpFrame | DownFrame, now: float) -> bool:
        """Queue a frame and send what is due, or do nothing and return False.

        The alarm is set to the next one that is due.
        """
        del frame, now
        return False

    def send_due(self, now: float) -> None:
        """Send the frames that are due."""


class UpLane:
    """The way up of a leg, while its packets come one after the other.

    Args:
        receiver: SRTP.
        depacketizer: The order and the decoder.
        down: Knows what was heard.

    Attributes:
        is_on: It has been entered, and not left.
        taken: Packets it has handed on, which the depacketizer does not know of yet.
    """

    is_on: bool = False
    taken: int = 0

    def __init__(
        self, receiver: SrtpReceiver, depacketizer: Depacketizer, down: DownLane
    ) -> None:
        pass

    def enter(self) -> None:
        """Take over, if all is as usual."""

    def leave(self) -> None:
        """Give everything back."""

    def take(self, datagram: bytes, now: float) -> bytes | Literal[True] | None:
        """Take an SRTP datagram.

        Returns:
            True: its voice was handed on, or it was counted as not authentic and new.
            Bytes: the packet, opened, but nothing else was done. None: nothing was.
        """
        del datagram, now
        return None
