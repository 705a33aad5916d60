"""The model's voice: frames that are due in, RTP packets out.

RTP time follows real time over pauses and media time inside a talkspurt; the first
packet of a talkspurt carries the marker bit (RFC 3551 section 4.1). Sequence numbers
count what is sent: a frame that never came is a step in time, not a lost packet, or the
caller's reports would blame its own path. Nothing said is nothing encoded. RED repeats
what was sent right before in the same talkspurt, without a step in time between.
"""

from collections import deque

from codec.errors import OpusError
from codec.opus import GRAIN_SAMPLES, VOICE, Encoder, Encoding, packet_samples
from proto.frames import FRAME_SAMPLES, SAMPLE_BYTES, DownFrame
from transceiver import red, rtp
from transceiver.adaptation import Tuning
from transceiver.rtcp import SenderInfo, ntp
from transceiver.rtp import HEADER, MARKER, TICKS_PER_SAMPLE, VERSION_BITS
from transceiver.sound import PCM, Sound

FRAME_SIZES_BYTES = tuple(GRAIN_SAMPLES * SAMPLE_BYTES * n for n in (1, 2, 4, 8))
"""PCM of 2.5, 5, 10 and 20 ms: what Opus encodes up to a full frame."""


class Packetizer:
    """One leg's encoder and RTP numbering; what comes as Opus goes as it came.

    Attributes:
        packets: RTP packets made.
        repeating: Those of them that repeat earlier ones.
        unencodable: Frames too long; dropped.
        sent_at: When the last packet was made, seconds.
    """

    __slots__ = (
        "_before",
        "_began_at",
        "_encode",
        "_encoder",
        "_end_ticks",
        "_octets",
        "_offset",
        "_opus_type",
        "_read",
        "_reader",
        "_red_type",
        "_sent_ticks",
        "_sequence",
        "_ssrc",
        "_talkspurt",
        "_timestamp",
        "packets",
        "repeating",
        "sent_at",
        "unencodable",
    )

    def __init__(
        self,
        ssrc: int,
        payload_types: tuple[int, int | None],
        start: tuple[int, int],
        now: float,
        sound: Sound = PCM,
        encoding: Encoding = VOICE,
    ) -> None:
        """Begin.

        Args:
            ssrc: Of our stream.
            payload_types: Opus's; RED's, None: it cannot be sent.
            start: Sequence number and timestamp, random (RFC 3550 section 5.1).
            now: Seconds.
            sound: What frames hold.
            encoding: How they are encoded.
        """
        self._encoder = Encoder(encoding)
        self._encode = self._encoder.encode
        self.packets = 0
        self.repeating = 0
        self.unencodable = 0
        self.sent_at = -1e9
        self._ssrc = ssrc
        self._opus_type, self._red_type = payload_types
        self._before: deque[tuple[int, bytes]] = deque(maxlen=0)  # the newest first
        self._sequence, self._timestamp = start
        self._reader = sound.reader
        self._read = sound.reader() if sound.reader else None
        self._began_at = now
        self._talkspurt = 0
        self._octets = 0
        self._offset = 0  # of the talkspurt's media time, in ticks since we began
        self._sent_ticks = 0
        self._end_ticks = 0

    def tune(self, tuning: Tuning) -> None:
        """Do as the caller's path needs."""
        encoder = self._encoder
        encoder.set_expected_loss(tuning.expected_loss_percent)
        encoder.set_bitrate(tuning.bitrate_bps)
        encoder.set_complexity(tuning.complexity)
        if tuning.repeats != self._before.maxlen:
            self._before = deque(maxlen=tuning.repeats)

    def packetize(self, frame: DownFrame, now: float) -> bytes | None:
        """Encode one frame, or give None for what no frame can be."""
        talkspurt, position, _, payload = frame
        marker = talkspurt != self._talkspurt
        if marker:
            self._begin()
        read = self._read
        if read is None:
            samples = packet_samples(payload)
        else:
            pcm = read(payload)
            samples = len(pcm) // SAMPLE_BYTES
            try:
                payload = self._encode(pcm if samples == FRAME_SAMPLES else _whole(pcm))
            except OpusError:
                self.unencodable += 1
                return None
        ticks = position * TICKS_PER_SAMPLE
        if marker:
            self._talkspurt = talkspurt
            start = max(self._end_ticks, self._ticks_at(now))
            self._offset = start - ticks
        ticks += self._offset
        kind = self._opus_type
        if self._before.maxlen:
            kind, payload = self._with_repeats(payload, ticks, marker=marker)
        header = HEADER.pack(
            VERSION_BITS,
            kind | MARKER if marker else kind,
            self._sequence + self.packets & 0xFFFF,
            self._timestamp + ticks & 0xFFFF_FFFF,
            self._ssrc,
        )
        self._sent_ticks, self.sent_at = ticks, now
        self._end_ticks = ticks + samples * TICKS_PER_SAMPLE
        self.packets += 1
        self._octets += len(payload)
        return header + payload

    def _with_repeats(
        self, payload: bytes, ticks: int, *, marker: bool
    ) -> tuple[int, bytes]:
        """Return a packet's type and payload, with what was sent right before it."""
        before, kind, data = self._before, self._opus_type, payload
        if marker or ticks != self._end_ticks:
            before.clear()
        if before and self._red_type is not None:
            kind, data = self._red_type, red.build(kind, payload, ticks, before)
            self.repeating += 1
        before.appendleft((ticks, payload))
        return kind, data

    @property
    def newest(self) -> int:
        """Sequence number of the last packet, not taken modulo its width."""
        return self._sequence + self.packets - 1

    def sender_info(self, now: float) -> SenderInfo:
        """Say what was sent, and what RTP time it is now."""
        ticks = self._ticks_at(now)
        if self.packets:
            ticks = self._sent_ticks + int((now - self.sent_at) * rtp.CLOCK_HZ)
        return SenderInfo(
            ssrc=self._ssrc,
            ntp=ntp(now),
            timestamp=(self._timestamp + ticks) & 0xFFFF_FFFF,
            packets=self.packets & 0xFFFF_FFFF,
            octets=self._octets & 0xFFFF_FFFF,
        )

    def _ticks_at(self, now: float) -> int:
        return int((now - self._began_at) * rtp.CLOCK_HZ)

    def _begin(self) -> None:
        """Begin a talkspurt, or the last syllable of the old one leaks into it."""
        self._encoder.reset()
        if self._reader is not None:
            self._read = self._reader()


def _whole(pcm: bytes) -> bytes:
    """Fill up what may be the short last frame of a talkspurt."""
    size = next((size for size in FRAME_SIZES_BYTES if size >= len(pcm)), 0)
    return pcm.ljust(size, b"\0")
