"""The caller's voice: Opus packets in order in, what the link carries at its time out.

Media time follows the sender's RTP clock, so silence it did not send (DTX) and what is
lost for good are jumps; where that clock makes no sense, real time takes its place for
one step. What comes much faster than anyone speaks is dropped, or one caller could keep
a service busy. A link of PCM or G.711 gets the voice decoded and what was lost made up,
unless a relay has taken it for silence by then; one of Opus gets the packets as they
came, and the relay makes up what is lost.
"""

import math

from codec import g711, opus, voice
from codec.opus import SAMPLES
from codec.voice import MAX_MADE_UP_SAMPLES
from proto.frames import SAMPLE_RATE_HZ
from proto.payload import MAX_PAYLOAD_BYTES, Payload
from transceiver.rtp import TICKS_PER_SAMPLE, signed_distance

MAX_JUMP_SAMPLES = SAMPLE_RATE_HZ * 2
"""2 s: how far the sender's clock may run ahead of real time in one step (after a stall
packets come faster than they were spoken); beyond it, it has jumped."""

MAX_PACE = 2
"""Seconds of voice taken in a second, which cost 0.3 % of a core at 28 us a frame."""

_GROWTH_HZ = float(MAX_PACE * SAMPLE_RATE_HZ)
"""Samples by which what is allowed grows in a second."""

MAX_BURST_SAMPLES = SAMPLE_RATE_HZ * 10
"""10 s: what may come at once, as after a long stall of the caller's path."""

MAX_CONCEALED_GAP_SAMPLES = SAMPLE_RATE_HZ * 160 // 1000
"""160 ms: where a gap is as long, the relay has told its model of silence meanwhile
(its `QUIET_S`). What was made up then would be heard behind that, and the gap twice."""

HALF = 1 << 31
"""Of the circle of RTP timestamps."""

Piece = tuple[int, bytes]
"""Media time in samples, and one frame's payload."""


class _Places:
    """A stream's packets in media time: from 0 on, never back."""

    __slots__ = ("_arrived_at", "_ticks", "_timestamp", "jumps")

    def __init__(self) -> None:
        self.jumps = 0
        self._timestamp: int | None = None
        self._ticks = 0  # media time of the last packet, in RTP ticks
        self._arrived_at: float | None = None

    def place(self, timestamp: int, end_samples: int, now: float) -> int:
        """Return the media time of a packet, in samples, none before `end_samples`."""
        ticks = -1
        if self._timestamp is not None:
            step = timestamp - self._timestamp
            if abs(step) >= HALF:  # over the wrap
                step = signed_distance(step, 0, 32)
            ticks = self._ticks + step
        if ticks != end_samples * TICKS_PER_SAMPLE:  # else it follows without a gap
            ticks = self._behind_gap(ticks, end_samples, now)
        self._ticks, self._timestamp, self._arrived_at = ticks, timestamp, now
        return ticks // TICKS_PER_SAMPLE

    def _behind_gap(self, by_clock: int, end_samples: int, now: float) -> int:
        """Return when a packet is, in ticks: by its clock, if that makes sense."""
        elapsed = 0
        if self._arrived_at is not None:
            elapsed = int((now - self._arrived_at) * SAMPLE_RATE_HZ)
        latest = end_samples + elapsed + MAX_JUMP_SAMPLES
        if end_samples <= by_clock // TICKS_PER_SAMPLE <= latest:
            return by_clock
        self.jumps += self._timestamp is not None
        by_arrival = self._ticks // TICKS_PER_SAMPLE + elapsed
        return max(end_samples, by_arrival) * TICKS_PER_SAMPLE

    def is_behind(self, timestamp: int, end_samples: int) -> bool:
        """Tell whether a packet of that time belongs behind all that was placed."""
        if self._timestamp is None:
            return False
        by_clock = self._ticks + signed_distance(timestamp, self._timestamp, 32)
        return by_clock >= end_samples * TICKS_PER_SAMPLE

    def restart(self) -> None:
        """Follow another clock."""
        self._timestamp = None


class _Allowance:
    """How much voice a caller may still send; grows with time, up to a bound."""

    __slots__ = ("_counted_at", "_left_samples", "excess")

    def __init__(self) -> None:
        self.excess = 0
        self._left_samples: float = MAX_BURST_SAMPLES
        self._counted_at = -math.inf

    def takes(self, gap_samples: int, samples: int, now: float) -> bool:
        """Take a packet off, and what may be made up before it, if it is allowed."""
        if now > self._counted_at:
            left_samples = self._left_samples + (now - self._counted_at) * _GROWTH_HZ
            if left_samples > MAX_BURST_SAMPLES:
                left_samples = MAX_BURST_SAMPLES
            self._left_samples, self._counted_at = left_samples, now
        left_samples = self._left_samples
        if gap_samples:
            left_samples -= min(gap_samples, MAX_MADE_UP_SAMPLES)
        if left_samples < samples:
            self.excess += 1
            return False
        self._left_samples = left_samples - samples
        return True


class _Stream:
    """A caller's packets, whatever becomes of them: placed, and held to a pace."""

    __slots__ = ("_allowance", "_end_samples", "_places")

    def __init__(self) -> None:
        self._places = _Places()
        self._allowance = _Allowance()
        self._end_samples = 0  # media time behind the last packet

    @property
    def jumps(self) -> int:
        """Times the sender's RTP clock made no sense."""
        return self._places.jumps

    @property
    def excess(self) -> int:
        """Packets that came much faster than they can have been spoken; dropped."""
        return self._allowance.excess

    def is_behind(self, timestamp: int) -> bool:
        """Tell whether a packet of that time would begin behind the last one's end."""
        return self._places.is_behind(timestamp, self._end_samples)

    def restart(self) -> None:
        """Go on with another stream: media time continues, its clock is another."""
        self._places.restart()


class Decoded(_Stream):
    """For a link of PCM: pieces of 1 to 480 samples."""

    __slots__ = ("_lost", "_voice")

    def __init__(self) -> None:
        super().__init__()
        self._voice = voice.Voice()
        self._lost = 0

    @property
    def recovered(self) -> int:
        """Lost packets decoded from in-band FEC."""
        return self._voice.recovered

    @property
    def concealed(self) -> int:
        """Lost or unreadable packets made up."""
        return self._voice.concealed

    @property
    def corrupt(self) -> int:
        """Payloads that are no Opus packet."""
        return self._voice.corrupt

    def take(
        self, lost: int, timestamp: int, payload: bytes, now: float
    ) -> list[Piece]:
        """Decode the next packet in order.

        Args:
            lost: Packets missing right before it.
            timestamp: Its RTP timestamp.
            payload: Opus; empty: holds a place in the sequence, but no audio.
            now: Seconds.
        """
        self._lost += lost
        if not payload:
            return []
        voice = self._voice
        end = self._end_samples
        position = self._places.place(timestamp, end, now)
        samples = SAMPLES[payload[0]] or opus.packet_samples(payload)
        samples = samples or voice.packet_samples
        if not self._allowance.takes(position - end, samples, now):
            return []
        lost_samples = 0
        if self._lost:
            lost_samples, self._lost = self._lost * voice.packet_samples, 0
            if position - end >= MAX_CONCEALED_GAP_SAMPLES:
                lost_samples = voice.packet_samples if opus.carries_fec(payload) else 0
        pieces = voice.take(position, payload, lost_samples)
        self._end_samples = voice.end_samples
        return pieces

    def restart(self) -> None:
        """Go on with another stream: media time continues, its clock is another."""
        super().restart()
        self._voice.restart()
        self._lost = 0


class Narrowed(Decoded):
    """For a link of G.711: pieces of 1 to 160 samples of 8 kHz.

    Decoded pieces are whole grains of 2.5 ms, so their places stay true.
    """

    def __init__(self, law: Payload) -> None:
        super().__init__()
        self._narrow = g711.Narrow(law)

    def take(
        self, lost: int, timestamp: int, payload: bytes, now: float
    ) -> list[Piece]:
        """Decode the next packet in order, and encode it."""
        encode = self._narrow.encode
        pieces = super().take(lost, timestamp, payload, now)
        return [(position, encode(pcm)) for position, pcm in pieces]


class AsItCame(_Stream):
    """For a link of Opus: each packet as a piece, nothing for what was lost.

    Attributes:
        recovered: None: that is the relay's part, as is to conceal.
        corrupt: Payloads that are no Opus packet, or longer than the link takes.
    """

    recovered = 0
    concealed = 0

    def __init__(self) -> None:
        super().__init__()
        self.corrupt = 0

    def take(
        self, lost: int, timestamp: int, payload: bytes, now: float
    ) -> list[Piece]:
        """Pass the next packet in order on, unless it is none that the link takes."""
        del lost  # a jump in media time, which is all that the relay needs to know
        if not payload:
            return []
        samples = opus.packet_samples(payload)
        if not samples or len(payload) > MAX_PAYLOAD_BYTES:
            self.corrupt += 1
            return []
        end = self._end_samples
        position = self._places.place(timestamp, end, now)
        if not self._allowance.takes(position - end, samples, now):
            return []
        self._end_samples = position + samples
        return [(position, payload)]
