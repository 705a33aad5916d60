"""Audio of one session at one end of a link, both directions (PROTOCOL.md 6).

HOT PATH: a frame in order is sealed, or opened and handed to the sink, with nothing
queued, logged or timed. All else here is for loss.
"""

import math
from typing import Final

from proto.errors import LocalError, RemoteError
from proto.fields import AudioFields
from proto.frames import FRAME_MS, FRAME_SAMPLES, DownFrame, UpFrame
from proto.messages import Last, Nack
from proto.order import History, Order
from proto.payload import BOUNDS, Payload
from proto.port import Deaf, FrameSink, Port, Role
from proto.stats import FrameCounts

UPLINK_WAIT_MAX_S: Final = 0.12
"""Longest wait for a missing uplink frame: past this, concealing it is better."""

UPLINK_WAIT_MIN_S: Final = 0.03
"""Shortest one: reordering within a frame and a half is waited for on any link."""

DOWNLINK_MARGIN_S: Final = 0.005
"""Taken off a downlink frame's lead: what decoding, encoding and a timer need."""

HEAD_SAMPLES: Final = 10 * FRAME_SAMPLES
"""Of a talkspurt: 200 ms, within which its frames come with less lead than later."""

LOSSY_S: Final = 60.0
"""So long after it asked for a frame the peer is taken to lose some: a few replies."""

_AT_ONCE_S: Final = 0.04
"""A frame due sooner than this is over when those on the quiet check are sent again."""

_TOLD: Final = 2
"""Times that LAST is sent."""


class Audio(AudioFields):
    """Sends one direction and receives the other while `is_open`.

    Holds at most `order.KEPT` frames sent and `order.DEPTH` received; older ones are
    given up.
    """

    __slots__ = (
        "_frame_type",
        "_hears_downlink",
        "_port",
        "_resent",
        "_session",
        "_told",
        "_told_of",
        "doubtful",
    )

    def __init__(self, session: int, role: Role, port: Port) -> None:
        is_dialer = role is Role.DIALER
        self.is_open = False
        self.sink: FrameSink = Deaf()
        self._session = session
        self._port = port
        self._hears_downlink = is_dialer
        self._frame_type = UpFrame if is_dialer else DownFrame
        self._history: History = History()
        self._head_samples = 0 if is_dialer else HEAD_SAMPLES
        self.sent_at = 0.0
        self.doubtful: list[int] = []
        self._is_speaking = False
        self._told = self._told_of = 0
        self._order: Order = Order()
        self._resent = 0
        self.carry(Payload.PCM)

    def carry(self, payload: Payload) -> None:
        """Take frames of this payload only."""
        self._max_bytes, self._grain_bytes = BOUNDS[payload]

    def seal_frame(self, frame: UpFrame | DownFrame, now: float) -> bytes | None:
        """Return the datagram of a frame; None while the session is not open.

        Raises:
            LocalError: The frame is of the other direction.
        """
        if not self.is_open:
            return None
        if type(frame) is not self._frame_type:
            raise LocalError(f"{type(frame).__name__} sent by the wrong end")
        seq = self._history.put(frame, now)
        self.sent_at = now
        port = self._port
        if not self._is_speaking:
            self._is_speaking = True
            port.spoke(self, now)
        datagram = port.seal_frame(self._session, seq, frame)
        if frame.position_samples < self._head_samples:
            self._double(seq, frame, now)
        return datagram

    def receive_frame(self, seq: int, frame: UpFrame | DownFrame, now: float) -> bool:
        """Take a frame; return whether `deadline` may have changed.

        Raises:
            RemoteError: It is longer than its payload can be, or cut off.
        """
        if not self.is_open:
            return False
        size_bytes = len(frame.payload)
        if size_bytes > self._max_bytes or size_bytes % self._grain_bytes:
            raise RemoteError("payload out of bounds")
        if self._order.push(seq):
            self._hand_on(frame)
            return False
        wait_s, step_s = self._uplink_wait_s, 0.0
        if type(frame) is DownFrame:
            step_s = FRAME_MS / 1000
            wait_s = frame.lead_ms / 1000 - DOWNLINK_MARGIN_S - step_s
        self._order.expect(seq - 1, now, wait_s, step_s, self._rtt_s)
        self._order.hold(seq, frame)
        self.deliver(now)
        return True

    def receive_last(self, message: Last, now: float) -> None:
        """Learn that no frame follows for now."""
        if not self.is_open:
            return
        wait_s, step_s = self._uplink_wait_s, 0.0
        if self._hears_downlink:
            wait_s, step_s = message.lead_ms / 1000 - DOWNLINK_MARGIN_S, FRAME_MS / 1000
        self._order.expect(message.seq, now, wait_s, step_s, self._rtt_s)
        self.deliver(now)

    def receive_nack(self, message: Nack, now: float) -> None:
        """Send again what the peer misses and we still have."""
        if not self.is_open:
            return
        self._port.asked_at = now
        for seq in message.seqs:
            self._send_again(seq, now)

    def tell_last(self, now: float, quiet_s: float) -> bool:
        """Send LAST if no frame was sent for `quiet_s`; return whether that is all.

        It is sent twice, for it may be lost like the frame it tells of. Frames that no
        repair would reach in time are sent a second time meanwhile.
        """
        if not self.is_open:
            return True
        for seq in self.doubtful:
            self._send_again(seq, now)
        self.doubtful.clear()
        if now - self.sent_at < quiet_s:
            return False
        history = self._history
        if history.seq != self._told_of:
            self._told, self._told_of = 0, history.seq
        frame = history.last()
        lead_ms = 0
        if type(frame) is DownFrame:
            lead_ms = _lead_left_ms(frame, self.sent_at, now)
        self._port.send(Last(self._session, history.seq, lead_ms))
        self._told += 1
        self._is_speaking = self._told < _TOLD
        return not self._is_speaking

    @property
    def deadline(self) -> float:
        """When `deliver` is due."""
        return self._order.deadline if self.is_open else math.inf

    def deliver(self, now: float) -> None:
        """Hand over what need not wait any longer; ask for what is missing."""
        for item in self._order.pull(now):
            if not self.is_open:
                return
            if type(item) is int:
                self.sink.frames_lost(item)
            else:
                self._hand_on(item)
        missing = self._order.asks(now, self._rtt_s)
        if missing and self.is_open:
            self._port.send(Nack(self._session, missing))

    def _hand_on(self, frame: UpFrame | DownFrame) -> None:
        sink = self.sink
        try:
            sink.frame_received(frame)
        except Exception as error:  # noqa: BLE001  # the owner's bug, who is told
            sink.failed(error)

    def counts(self) -> FrameCounts:
        """Return the figures up to now."""
        counts, order = FrameCounts(), self._order
        counts.sent, counts.resent = self._history.seq, self._resent
        counts.received = order.next_seq - 1 - order.given_up
        counts.repaired, counts.duplicate = order.repaired, order.duplicate
        counts.asked_again, counts.given_up = order.asked, order.given_up
        return counts

    def _double(self, seq: int, frame: UpFrame | DownFrame, now: float) -> None:
        """See to a frame with too little lead to be asked for, if the peer loses some.

        It is sent twice: one of a talkspurt's first frames is due before a repair.
        """
        rtt = self._port.rtt
        if now - self._port.asked_at > LOSSY_S or type(frame) is not DownFrame:
            return
        lead_s = frame.lead_ms / 1000
        if lead_s < _AT_ONCE_S:
            self._send_again(seq, now)
        elif lead_s < self._rtt_s + 4 * rtt.variation_s + DOWNLINK_MARGIN_S:
            self.doubtful.append(seq)

    def _send_again(self, seq: int, now: float) -> None:
        """Send a frame again with the lead that is left, if we have it and may."""
        sent = self._history.again(seq)
        if sent is None:
            return
        sent_at, frame = sent
        if type(frame) is DownFrame:
            frame = frame._replace(lead_ms=_lead_left_ms(frame, sent_at, now))
        self._resent += 1
        self._port.transmit(self._port.seal_frame(self._session, seq, frame))

    @property
    def _rtt_s(self) -> float:
        return self._port.rtt.smoothed_s or 0.0

    @property
    def _uplink_wait_s(self) -> float:
        """Half a round trip more than a repair takes, and the jitter of both."""
        rtt = self._port.rtt
        if rtt.smoothed_s is None:
            return UPLINK_WAIT_MAX_S
        wait_s = 1.5 * rtt.smoothed_s + 4 * rtt.variation_s
        return min(max(wait_s, UPLINK_WAIT_MIN_S), UPLINK_WAIT_MAX_S)


def _lead_left_ms(frame: DownFrame, sent_at: float, now: float) -> int:
    return max(0, frame.lead_ms - round((now - sent_at) * 1000))
