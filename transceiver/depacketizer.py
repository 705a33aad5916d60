"""The caller's voice: RTP packets as they come in, frames in order for the link out.

Follows the caller from one stream to the next, opens RED, and waits for what is missing
no longer than it must; what becomes of a packet in its turn is up to `voice`. What is
no audio, foreign or broken is counted and dropped.
"""

from collections.abc import Callable

from proto.frames import UpFrame, new_tuple
from runtime.stages import Stopwatch
from transceiver import red, rtp
from transceiver.errors import MalformedPacket
from transceiver.reorder import ReorderWindow
from transceiver.rtcp import Reception
from transceiver.rtp import RtpPacket
from transceiver.stream import Stream
from transceiver.voice import AsItCame, Decoded

STREAM_QUIET_S = 1.0
"""Silence after which a caller may return to a stream it has left before."""


class Depacketizer:
    """One leg's packets, and what is handed on of them.

    Args:
        payload_types: Opus's; RED's, None: the caller does not know it.
        voice: Its decoder, and media time.
        heard: Tells the talkspurt last played and how many samples of it were heard.
        uplink: Takes the caller's frames; must neither block nor raise.

    Attributes:
        window: The packets' order; `deliver` when its deadline has come.
        timed: Times packets, named by their RTP timestamps.
    """

    __slots__ = (
        "_foreign",
        "_former",
        "_frames",
        "_heard",
        "_malformed",
        "_opus_type",
        "_received",
        "_red_type",
        "_repeated",
        "_stream",
        "_uplink",
        "_voice",
        "timed",
        "window",
    )

    def __init__(
        self,
        payload_types: tuple[int, int | None],
        voice: AsItCame | Decoded,
        heard: Callable[[float], tuple[int, int]],
        uplink: Callable[[UpFrame], None],
    ) -> None:
        self._opus_type, self._red_type = payload_types
        self._voice = voice
        self._heard = heard
        self._uplink = uplink
        self.window: ReorderWindow[tuple[int, bytes]] = ReorderWindow()
        self.timed = Stopwatch()
        self._stream: Stream | None = None
        self._former: set[int] = set()
        self._received = self._frames = 0
        self._malformed = self._foreign = self._repeated = 0

    def take(self, data: bytes, now: float) -> None:
        """Take a packet, and hand on what is in order now. HOT PATH."""
        try:
            packet = rtp.parse(data)
        except MalformedPacket:
            self._malformed += 1
            return
        kind, sequence, timestamp, ssrc, payload = packet
        stream = self._stream
        if stream is None or ssrc != stream.reception.ssrc:
            stream = self._change_stream(packet, now)
            if stream is None:
                self._foreign += 1
                return
        self._received += 1
        stream.received_at = now
        self.timed.begin(timestamp)
        sequence = stream.extender.extend(sequence)
        stream.reception.received(sequence, timestamp, now)
        if kind != self._opus_type:
            other = self._other_payload(kind, payload)
            if other is None:
                return
            payload = other
        if self.window.passes(sequence):
            self._hand_on(0, timestamp, payload, now)
        else:
            self._put_in_order(sequence, packet, payload, now)

    def deliver(self, now: float) -> None:
        """Hand on what need not wait any longer for what is missing before it."""
        for lost, (timestamp, payload) in self.window.pull(now):
            self._hand_on(lost, timestamp, payload, now)

    @property
    def reception(self) -> Reception | None:
        """What is to be reported of the caller's stream; None: it has sent nothing."""
        return None if self._stream is None else self._stream.reception

    def counts(self) -> dict[str, int]:
        """Return what happened so far, by kind."""
        window, voice = self.window, self._voice
        return {
            "received_packets": self._received,
            "lost_packets": window.lost,
            "late_packets": window.late,
            "duplicate_packets": window.duplicates,
            "recovered_packets": voice.recovered + self._repeated,
            "repeated_packets": self._repeated,
            "concealed_packets": voice.concealed,
            "corrupt_packets": voice.corrupt,
            "clock_jumps": voice.jumps,
            "excess_packets": voice.excess,
            "malformed_packets": self._malformed,
            "foreign_packets": self._foreign,
            "frames_up": self._frames,
        }

    def _other_payload(self, kind: int, payload: bytes) -> bytes | None:
        """Return the Opus packet in one of RED; None: it is malformed, as if lost.

        What is neither holds no audio, but keeps its place in the sequence: no loss.
        """
        if kind == self._red_type:
            try:
                kind, payload = red.newest(payload)
            except MalformedPacket:
                self._malformed += 1
                return None
        if kind != self._opus_type:
            self._foreign += 1
            return b""
        return payload

    def _put_in_order(
        self, sequence: int, packet: RtpPacket, payload: bytes, now: float
    ) -> None:
        if packet.payload_type == self._red_type:
            self._fill(sequence, packet, now)
        self.window.push(sequence, (packet.timestamp, payload), now)
        self.deliver(now)

    def _fill(self, sequence: int, packet: RtpPacket, now: float) -> None:
        """Put what a packet repeats where it is missing, if time agrees with number."""
        window, voice, kind = self.window, self._voice, self._opus_type
        for age, repeat in enumerate(red.repeats(packet.payload, kind), 1):
            earlier = sequence - age
            if window.is_over(earlier):
                return
            timestamp = (packet.timestamp - repeat.offset_ticks) & 0xFFFF_FFFF
            waits = window.waiting(earlier)
            if waits is None and voice.is_behind(timestamp):
                window.fill(earlier, (timestamp, repeat.payload), now)
                self._repeated += 1
            elif waits is None or waits[0] != timestamp:
                return

    def _change_stream(self, packet: RtpPacket, now: float) -> Stream | None:
        """Follow the caller to another SSRC, at once if it is a new one.

        Stragglers of one it has left do not lead back to it, nor do other payloads.
        """
        if packet.payload_type not in {self._opus_type, self._red_type}:
            return None
        stream = self._stream
        if stream is not None:
            quiet = now - stream.received_at > STREAM_QUIET_S
            if packet.ssrc in self._former and not quiet:
                return None
            self._former.add(stream.reception.ssrc)  # as few as SRTP lets in
            for lost, (timestamp, payload) in self.window.drain():
                self._hand_on(lost, timestamp, payload, now)
            self._voice.restart()
        self._stream = Stream(packet, now)
        return self._stream

    def _hand_on(self, lost: int, timestamp: int, payload: bytes, now: float) -> None:
        pieces = self._voice.take(lost, timestamp, payload, now)
        if pieces:
            talkspurt, samples = self._heard(now)
            uplink = self._uplink
            for position, piece in pieces:
                uplink(new_tuple(UpFrame, (position, talkspurt, samples, piece)))
            self._frames += len(pieces)
            if timestamp == self.timed.key:
                self.timed.end()
