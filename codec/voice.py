"""A voice out of Opus packets: in order at their media times in, PCM out.

What was lost is made up: the packet before the one at hand from its in-band FEC, what
is before that by concealment, fading to silence; at most 120 ms, beyond which media
time jumps. Pure but for libopus's own state.
"""

from array import array

from codec.errors import OpusError
from codec.opus import GRAIN_SAMPLES, Decoder, carries_fec
from proto.frames import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_BYTES, SAMPLE_RATE_HZ

MAX_MADE_UP_SAMPLES = SAMPLE_RATE_HZ * 120 // 1000
"""120 ms: beyond it concealment is a hum, to an ear and to a model."""

Piece = tuple[int, bytes]
"""Media time in samples, and PCM: s16le, mono, 24 kHz, 1 to 480 samples."""


class Voice:
    """One speaker's decoder, and where in media time it stands.

    Attributes:
        end_samples: Media time behind the last packet.
        packet_samples: Length of the last packet.
        recovered: Lost packets decoded from in-band FEC.
        concealed: Lost or unreadable packets made up.
        corrupt: Payloads that are no Opus packet.
    """

    __slots__ = (
        "_decode",
        "_decoder",
        "concealed",
        "corrupt",
        "end_samples",
        "packet_samples",
        "recovered",
    )

    def __init__(self) -> None:
        self.end_samples = 0
        self.packet_samples = FRAME_SAMPLES
        self.recovered = 0
        self.concealed = 0
        self.corrupt = 0
        self.restart()

    def take(
        self, position_samples: int, payload: bytes, lost_samples: int
    ) -> list[Piece]:
        """Decode the next packet in order.

        Args:
            position_samples: Its media time; none before `end_samples`.
            payload: Opus, not empty.
            lost_samples: How much of the gap before it was lost, not silent, at most.
        """
        pieces: list[Piece] = []
        if lost_samples:
            pieces = self._make_up(position_samples, payload, lost_samples)
        try:
            pcm = self._decode(payload)
        except OpusError:
            self.corrupt += 1
            pcm = self._conceal(self.packet_samples)
        samples = self.packet_samples = len(pcm) // SAMPLE_BYTES
        self.end_samples = position_samples + samples
        if samples <= FRAME_SAMPLES:
            pieces.append((position_samples, pcm))
        else:
            _cut(pieces, position_samples, pcm)
        return pieces

    def restart(self) -> None:
        """Go on with another speaker; media time continues."""
        self._decoder = Decoder()
        self._decode = self._decoder.decode

    def _make_up(
        self, position: int, next_payload: bytes, lost_samples: int
    ) -> list[Piece]:
        gap = position - self.end_samples
        samples = min(gap, lost_samples, MAX_MADE_UP_SAMPLES)
        samples -= samples % GRAIN_SAMPLES
        pieces: list[Piece] = []
        repeated = 0
        if carries_fec(next_payload):
            repeated = min(samples, self.packet_samples)
        concealed = samples - repeated
        if concealed:
            pcm = self._conceal(concealed)
            _cut(pieces, self.end_samples, pcm if samples == gap else fade(pcm))
        if repeated:
            pcm = self._decode_fec(next_payload, repeated)
            _cut(pieces, position - repeated, pcm)
        return pieces

    def _decode_fec(self, next_payload: bytes, samples: int) -> bytes:
        try:
            pcm = self._decoder.decode_fec(next_payload, samples)
        except OpusError:
            return self._conceal(samples)
        self.recovered += 1
        return pcm

    def _conceal(self, samples: int) -> bytes:
        self.concealed += -(-samples // self.packet_samples)
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
    for start in range(0, len(pcm), FRAME_BYTES):
        piece = pcm[start : start + FRAME_BYTES]
        pieces.append((position + start // SAMPLE_BYTES, piece))
