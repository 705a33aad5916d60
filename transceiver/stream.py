"""The stream of RTP packets that a caller sends at the moment."""

from transceiver import rtp
from transceiver.rtcp import Reception
from transceiver.rtp import RtpPacket, SequenceExtender


class Stream:
    """One SSRC's packets, from the first one on.

    Attributes:
        extender: Its sequence numbers.
        reception: What receiver reports say of it.
        received_at: When its last packet came, seconds.
    """

    __slots__ = ("extender", "received_at", "reception")

    def __init__(self, packet: RtpPacket, now: float) -> None:
        self.extender = SequenceExtender(packet.sequence)
        self.reception = Reception(packet.ssrc, packet.sequence, rtp.CLOCK_HZ)
        self.received_at = now
