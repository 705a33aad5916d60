"""The model's voice: frames that are due in, RTP packets out.

RTP time follows real time over pauses and media time inside a talkspurt; the first
packet of a talkspurt carries the marker bit (RFC 3551 section 4.1). Sequence numbers
count what is sent: a frame that never came is a step in time, not a lost packet, or the
caller's reports would blame its own path. Nothing said is nothing encoded.
"""

from codec.errors import OpusError
from codec.opus import GRAIN_SAMPLES, VOICE, Encoder, Encoding
from proto.frames import FRAME_BYTES, SAMPLE_BYTES, DownFrame
from transceiver import rtp
from transceiver.rtcp import SenderInfo, ntp
from transceiver.rtp import TICKS_PER_SAMPLE
from transceiver.sound import PCM, Sound

FRAME_SIZES_BYTES = tuple(GRAIN_SAMPLES * SAMPLE_BYTES * n for n in (1, 2, 4, 8))
"""PCM of 2.5, 5, 10 and 20 ms: what Opus encodes up to a full frame."""


class Packetizer:
    """One leg's encoder and RTP numbering; what comes as Opus goes as it came.

    Attributes:
        encoder: To be tuned to the caller's path.
        packets: RTP packets made.
        unencodable: Frames too long; dropped.
        sent_at: When the last packet was made, seconds.
    """

    def __init__(
        self,
        ssrc: int,
        payload_type: int,
        start: tuple[int, int],
        now: float,
        sound: Sound = PCM,
        encoding: Encoding = VOICE,
    ) -> None:
        """Begin at `start`: sequence number and timestamp, random (RFC 3550 s. 5.1)."""
        self.encoder = Encoder(encoding)
        self.packets = 0
        self.unencodable = 0
        self.sent_at = -1e9
        self._ssrc = ssrc
        self._payload_type = payload_type
        self._sequence, self._timestamp = start
        self._samples = sound.samples
        self._reader = sound.reader
        self._read = sound.reader() if sound.reader else None
        self._began_at = now
        self._talkspurt = 0
        self._octets = 0
        self._offset = 0  # of the talkspurt's media time, in ticks since we began
        self._sent_ticks = 0
        self._end_ticks = 0

    def packetize(self, frame: DownFrame, now: float) -> bytes | None:
        """Encode one frame, or give None for what no frame can be."""
        marker = frame.talkspurt != self._talkspurt
        if marker:
            self._begin()
        read = self._read
        payload = frame.payload if read is None else self._encode(read(frame.payload))
        if payload is None:
            return None
        ticks = frame.position_samples * TICKS_PER_SAMPLE
        if marker:
            self._talkspurt = frame.talkspurt
            start = max(self._end_ticks, self._ticks_at(now))
            self._offset = start - ticks
        ticks += self._offset
        header = rtp.build_header(
            self._payload_type,
            self._sequence + self.packets,
            self._timestamp + ticks,
            self._ssrc,
            marker=marker,
        )
        self._sent_ticks, self.sent_at = ticks, now
        self._end_ticks = ticks + self._samples(frame.payload) * TICKS_PER_SAMPLE
        self.packets += 1
        self._octets += len(payload)
        return header + payload

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
        self.encoder.reset()
        if self._reader is not None:
            self._read = self._reader()

    def _encode(self, pcm: bytes) -> bytes | None:
        if len(pcm) != FRAME_BYTES:  # the last of a talkspurt may be short
            size = next((size for size in FRAME_SIZES_BYTES if size >= len(pcm)), 0)
            pcm = pcm.ljust(size, b"\0")
        try:
            return self.encoder.encode(pcm)
        except OpusError:
            self.unencodable += 1
            return None
