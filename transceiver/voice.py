"""The caller's voice: packets in order in, PCM at its media time out.

What was lost is made up: the packet before the one at hand from its in-band FEC, what
is before that by concealment, fading to silence; at most 120 ms, beyond which media
time jumps. Media time follows the sender's RTP clock, so silence it did not send (DTX)
is a jump too; where that clock makes no sense, real time takes its place for one step.
"""

from array import array

from proto.frames import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_BYTES, SAMPLE_RATE_HZ
from transceiver.errors import OpusError
from transceiver.opus import GRAIN_SAMPLES, Decoder, carries_fec
from transceiver.rtp import TICKS_PER_SAMPLE, signed_distance

MAX_MADE_UP_SAMPLES = SAMPLE_RATE_HZ * 120 // 1000
"""120 ms: beyond it concealment is a hum, to an ear and to a model."""

MAX_JUMP_SAMPLES = SAMPLE_RATE_HZ * 2
"""2 s: how far the sender's clock may run ahead of real time in one step (after a stall
packets come faster than they were spoken); beyond it, it has jumped."""

Piece = tuple[int, bytes]
"""Media time in samples, and PCM: s16le, mono, 24 kHz, 1 to 480 samples."""


class Voice:
    """One caller's decoder and place in media time (from 0 on, never back).

    Attributes:
        recovered: Lost packets decoded from in-band FEC.
        concealed: Lost or unreadable packets made up.
        corrupt: Payloads that are no Opus packet.
        jumps: Times the sender's RTP clock made no sense.
    """

    def __init__(self) -> None:
        self.recovered = 0
        self.concealed = 0
        self.corrupt = 0
        self.jumps = 0
        self._decoder = Decoder()
        self._packet_samples = FRAME_SAMPLES
        self._lost = 0
        self._timestamp: int | None = None
        self._ticks = 0  # media time of the last packet, in RTP ticks
        self._end = 0  # media time behind the last packet, in samples
        self._arrived_at: float | None = None

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
        position = self._place(timestamp, now)
        pieces = self._make_up(position, payload) if self._lost else []
        pcm = self._decode(payload)
        self._end = position + len(pcm) // SAMPLE_BYTES
        _cut(pieces, position, pcm)
        return pieces

    def restart(self) -> None:
        """Go on with another stream: media time continues, its clock is another."""
        self._decoder = Decoder()
        self._timestamp = None
        self._lost = 0

    def _place(self, timestamp: int, now: float) -> int:
        elapsed = 0
        if self._arrived_at is not None:
            elapsed = int((now - self._arrived_at) * SAMPLE_RATE_HZ)
        by_clock = -1
        if self._timestamp is not None:
            by_clock = self._ticks + signed_distance(timestamp, self._timestamp, 32)
        latest = self._end + elapsed + MAX_JUMP_SAMPLES
        if self._end <= by_clock // TICKS_PER_SAMPLE <= latest:
            self._ticks = by_clock
        else:
            self.jumps += self._timestamp is not None
            by_arrival = self._ticks // TICKS_PER_SAMPLE + elapsed
            self._ticks = max(self._end, by_arrival) * TICKS_PER_SAMPLE
        self._timestamp = timestamp
        self._arrived_at = now
        return self._ticks // TICKS_PER_SAMPLE

    def _make_up(self, position: int, next_payload: bytes) -> list[Piece]:
        lost, self._lost = self._lost, 0
        gap = position - self._end
        samples = min(gap, lost * self._packet_samples, MAX_MADE_UP_SAMPLES)
        samples -= samples % GRAIN_SAMPLES
        pieces: list[Piece] = []
        repeated = 0
        if carries_fec(next_payload):
            repeated = min(samples, self._packet_samples)
        concealed = samples - repeated
        if concealed:
            pcm = self._conceal(concealed)
            _cut(pieces, self._end, pcm if samples == gap else fade(pcm))
        if repeated:
            pcm = self._decode_fec(next_payload, repeated)
            _cut(pieces, position - repeated, pcm)
        return pieces

    def _decode(self, payload: bytes) -> bytes:
        try:
            pcm = self._decoder.decode(payload)
        except OpusError:
            self.corrupt += 1
            return self._conceal(self._packet_samples)
        self._packet_samples = len(pcm) // SAMPLE_BYTES
        return pcm

    def _decode_fec(self, next_payload: bytes, samples: int) -> bytes:
        try:
            pcm = self._decoder.decode_fec(next_payload, samples)
        except OpusError:
            return self._conceal(samples)
        self.recovered += 1
        return pcm

    def _conceal(self, samples: int) -> bytes:
        self.concealed += -(-samples // self._packet_samples)
        return self._decoder.conceal(samples)


def fade(pcm: bytes) -> bytes:
    """Fade PCM (s16le) evenly to silence."""
    samples = array("h", pcm)  # hosts are little-endian: x86 and ARM
    count = len(samples)
    return array(
        "h", [value * (count - i) // count for i, value in enumerate(samples)]
    ).tobytes()


def _cut(pieces: list[Piece], position: int, pcm: bytes) -> None:
    """Append PCM in pieces of one frame at most."""
    if len(pcm) <= FRAME_BYTES:
        pieces.append((position, pcm))
        return
    for start in range(0, len(pcm), FRAME_BYTES):
        piece = pcm[start : start + FRAME_BYTES]
        pieces.append((position + start // SAMPLE_BYTES, piece))
