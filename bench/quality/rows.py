"""Who is compared: each way a voice is sent, lost in part, and heard.

Downlink: what a browser's caller hears of the model, by sender. Uplink: what the model
hears of a browser's caller, by receiver. All get the same speech and lose the same
packets. Names say what encodes.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from bench.quality import caller, plain
from bench.quality.caller import FRAME_TICKS, Packet
from bench.quality.edge import OPUS_TYPE, Edge
from bench.quality.pieces import Pieces, joined, placed
from bench.quality.sentences import Speech
from bench.quality.trace import Weather, lost
from codec.opus import VOICE, Application, Encoder, Encoding
from proto.frames import FRAME_MS
from relay.engine.ports import Samples
from transceiver import red
from transceiver.adaptation import FEC_PERCENT, HEADER_BYTES
from transceiver.profile import Profile, plan

Frames = Sequence[bytes]
"""20 ms each: s16le, mono, 24 kHz."""

BROWSER = Encoding(Application.VOIP, 32_000, complexity=9, has_fec=True)
"""What Chromium encodes a microphone with on a desktop computer."""

AIORTC = "libopus 48 kHz stereo, VOIP, 96 kbit/s, complexity 10, no FEC"


class Outcome(NamedTuple):
    """What was heard of a stream.

    Attributes:
        parts: Of each sentence: int16, (samples,), mono 24 kHz.
        wire_kbps: What it took, with the headers of RTP, SRTP, UDP and IP.
    """

    parts: list[Samples]
    wire_kbps: float


class Row(NamedTuple):
    """One sender and receiver.

    Attributes:
        direction: "downlink" or "uplink".
        name: Of what is compared.
        codec: What encodes.
        carry: Takes speech and a weather, gives what is heard.
        encode: Encodes frames once, to measure its CPU; None: the browser does.
    """

    direction: str
    name: str
    codec: str
    carry: Callable[[Speech, Weather], Outcome]
    encode: Callable[[Frames], object] | None = None


LIKE_FOR_LIKE = "VOIP 32k cx5, FEC"
DEFAULT = "Tandem, RED offered"
DEFAULT_WITHOUT_RED = "Tandem, no RED"
QUALITY = "Tandem, quality"
PLAIN = "aiortc"
PLAIN_SILENT = "aiortc, gaps as silence"


def rows() -> list[Row]:
    """Return all rows; of each direction the one that others are held against first."""
    return [
        Row(
            "downlink",
            LIKE_FOR_LIKE,
            str(VOICE),
            _down(lambda frames, weather: _encoded(VOICE, frames, weather)),
            _once(VOICE),
        ),
        _tandem(DEFAULT, Profile.AUTO, knows_red=True),
        _tandem(DEFAULT_WITHOUT_RED, Profile.AUTO, knows_red=False),
        _tandem(QUALITY, Profile.QUALITY, knows_red=True),
        Row(
            "downlink",
            PLAIN,
            AIORTC,
            _down(lambda frames, _: plain.say(frames)),
            plain.say,
        ),
        _up(DEFAULT, lambda sent: Edge(knows_red=True).hear(sent), repeats=1),
        _up(DEFAULT_WITHOUT_RED, lambda sent: Edge(knows_red=False).hear(sent)),
        _up(PLAIN, plain.hear, joined),
        _up(PLAIN_SILENT, plain.hear),
    ]


def _tandem(name: str, profile: Profile, *, knows_red: bool) -> Row:
    encoding = plan(profile, knows_red=knows_red).encoding

    def say(frames: Frames, weather: Weather) -> list[Packet]:
        return Edge(profile, knows_red=knows_red).say(frames, weather)

    return Row("downlink", name, str(encoding), _down(say), _once(encoding))


def _down(
    say: Callable[[Frames, Weather], list[Packet]],
) -> Callable[[Speech, Weather], Outcome]:
    def carry(speech: Speech, weather: Weather) -> Outcome:
        frames = speech.frames
        packets = say(frames, weather)
        payloads = caller.collected(packets, lost(weather, len(frames)), OPUS_TYPE)
        pieces = [(0, caller.played(payloads))]
        return Outcome(placed(pieces, speech), _wire_kbps(packets, len(frames)))

    return carry


def _up(
    name: str,
    hear: Callable[[list[Packet | None]], Pieces],
    place: Callable[[Pieces, Speech], list[Samples]] = placed,
    repeats: int = 0,
) -> Row:
    def carry(speech: Speech, weather: Weather) -> Outcome:
        frames = speech.frames
        packets = _encoded(BROWSER, frames, weather)
        if repeats:
            packets = _repeating(packets, repeats)
        flags = lost(weather, len(frames))
        arrived = [None if flags[packet.frame] else packet for packet in packets]
        parts = place(hear(arrived), speech)
        return Outcome(parts, _wire_kbps(packets, len(frames)))

    return Row("uplink", name, f"{BROWSER}{', RED' * repeats}", carry)


def _encoded(encoding: Encoding, frames: Frames, weather: Weather) -> list[Packet]:
    """Return what an encoder makes that is told of the loss as our own are."""
    encoder = Encoder(encoding)
    least, most = FEC_PERCENT
    encoder.set_expected_loss(min(max(weather.percent, least), most))
    return [Packet(n, False, encoder.encode(pcm)) for n, pcm in enumerate(frames)]


def _repeating(packets: list[Packet], repeats: int) -> list[Packet]:
    repeating = []
    for packet in packets:
        first = max(0, packet.frame - repeats)
        before = [
            (earlier.frame * FRAME_TICKS, earlier.payload)
            for earlier in reversed(packets[first : packet.frame])
        ]
        ticks = packet.frame * FRAME_TICKS
        data = red.build(OPUS_TYPE, packet.payload, ticks, before)
        repeating.append(Packet(packet.frame, True, data))
    return repeating


def _once(encoding: Encoding) -> Callable[[Frames], object]:
    def encode(frames: Frames) -> object:
        encoder = Encoder(encoding)
        encoder.set_expected_loss(FEC_PERCENT[0])
        return [encoder.encode(pcm) for pcm in frames]

    return encode


def _wire_kbps(packets: Sequence[Packet], frames: int) -> float:
    size = sum(HEADER_BYTES + len(packet.payload) for packet in packets)
    return size * 8 / (frames * FRAME_MS)
