"""What the link carries a call's audio as, to and from the PCM of turns and upstreams.

A relay takes what it is asked for. PCM passes as it is. Opus comes as the caller sent
it: decoded here, and what was lost on the caller's path or the link made up. Towards
the caller it is encoded as it leaves: nothing is encoded that a barge-in drops.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from codec.g711 import Narrow, Wide
from codec.opus import Encoder, carries_fec
from codec.voice import Piece, Voice
from proto.frames import DownFrame, UpFrame
from proto.payload import Payload

MAX_DTX_BYTES = 2
"""An Opus packet no longer announces silence that is not sent (libopus's encoder)."""

EXPECTED_LOSS_PERCENT = 10
"""What the encoder guards against: the caller's reports of its path end at the edge."""


class MadeUp(NamedTuple):
    """What was not heard as it was said, in packets."""

    recovered: int = 0
    """Lost, and repeated by the next one."""
    concealed: int = 0
    """Lost or corrupt, and made up."""
    corrupt: int = 0
    """No Opus."""


class Hearing(Protocol):
    """The caller's audio, out of the link."""

    @property
    def made_up(self) -> MadeUp:
        """Return what was made up so far."""

    def take(self, frame: UpFrame, told_samples: int = 0) -> list[Piece]:
        """Return the PCM of the next frame, and before it what was made up.

        Args:
            frame: As it came.
            told_samples: Media time up to which the upstream has been told all, be it
                of silence: nothing is made up before that.
        """

    def lost(self) -> None:
        """Take note of frames that will not come."""


class PcmHearing:
    """PCM, as it is."""

    made_up = MadeUp()

    def take(self, frame: UpFrame, told_samples: int = 0) -> list[Piece]:
        """Return the frame's own."""
        return [(frame.position_samples, frame.payload)]

    def lost(self) -> None:
        """Nothing: the gap in media time is filled with silence."""


class G711Hearing:
    """G.711, made wide; its silence and losses are as PCM's."""

    made_up = MadeUp()

    def __init__(self, law: Payload) -> None:
        self._wide = Wide(law)

    def take(self, frame: UpFrame, told_samples: int = 0) -> list[Piece]:
        """Return the frame's PCM."""
        return [(frame.position_samples, self._wide.decode(frame.payload))]

    def lost(self) -> None:
        """Nothing: the gap in media time is filled with silence."""


class OpusHearing:
    """Opus, decoded in the order of its positions.

    A jump in them is a loss, made up, unless the packet before announced silence. Where
    the upstream was told of silence meanwhile, no more is made up than what the packet
    at hand repeats, and that only if it lies behind the silence. What is made up where
    a caller just stopped fades out within 0.1 s.
    """

    def __init__(self) -> None:
        self._voice = Voice()
        self._is_silent = True  # before the first packet nothing was lost

    @property
    def made_up(self) -> MadeUp:
        """Return what was made up so far."""
        voice = self._voice
        return MadeUp(voice.recovered, voice.concealed, voice.corrupt)

    def take(self, frame: UpFrame, told_samples: int = 0) -> list[Piece]:
        """Decode; a position before the end of the last packet moves up to it."""
        voice = self._voice
        position = max(frame.position_samples, voice.end_samples)
        lost = 0
        if position > voice.end_samples and not self._is_silent:
            lost = self._lost(position, told_samples, frame.payload)
        self._is_silent = len(frame.payload) <= MAX_DTX_BYTES
        return voice.take(position, frame.payload, lost)

    def lost(self) -> None:
        """The next packet shows how much it was, and repeats some of it."""
        self._is_silent = False

    def _lost(self, position: int, told_samples: int, payload: bytes) -> int:
        voice = self._voice
        if told_samples <= voice.end_samples:
            return position - voice.end_samples
        if not carries_fec(payload):
            return 0
        return min(max(position - told_samples, 0), voice.packet_samples)


class OpusSpeaking:
    """Encodes the model's audio as it leaves.

    Args:
        send: Sends a frame over the link.
    """

    def __init__(self, send: Callable[[DownFrame], None]) -> None:
        self._send = send
        self._encoder = Encoder()
        self._encoder.set_expected_loss(EXPECTED_LOSS_PERCENT)
        self._talkspurt = 0

    def send(self, frame: DownFrame) -> None:
        """Encode and send a frame of 20 ms."""
        if frame.talkspurt != self._talkspurt:
            self._talkspurt = frame.talkspurt
            self._encoder.reset()  # or the last syllable of the old one leaks into this
        self._send(frame._replace(payload=self._encoder.encode(frame.payload)))


class G711Speaking:
    """Makes the model's audio narrow as it leaves.

    Args:
        law: Which G.711.
        send: Sends a frame over the link.
    """

    def __init__(self, law: Payload, send: Callable[[DownFrame], None]) -> None:
        self._law = law
        self._send = send
        self._narrow = Narrow(law)
        self._talkspurt = 0

    def send(self, frame: DownFrame) -> None:
        """Encode and send a frame of 20 ms."""
        if frame.talkspurt != self._talkspurt:
            self._talkspurt = frame.talkspurt
            self._narrow = Narrow(self._law)
        self._send(frame._replace(payload=self._narrow.encode(frame.payload)))


class Carriage(NamedTuple):
    """Both directions of one call."""

    hearing: Hearing
    send: Callable[[DownFrame], None]


def chosen(offered: tuple[Payload, ...]) -> Payload:
    """Return the payload that the edge likes best; all are spoken here."""
    return next(iter(offered), Payload.PCM)


def carriage(payload: Payload, send: Callable[[DownFrame], None]) -> Carriage:
    """Return what carries a call's audio; `send` is the link's."""
    if payload is Payload.OPUS:
        return Carriage(OpusHearing(), OpusSpeaking(send).send)
    if payload in (Payload.PCMU, Payload.PCMA):
        return Carriage(G711Hearing(payload), G711Speaking(payload, send).send)
    return Carriage(PcmHearing(), send)
