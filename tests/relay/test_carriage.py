"""What the relay hears of Opus that an edge passed on, and what it says in Opus."""

import itertools

import pytest
from hypothesis import given, strategies as st

from codec.g711 import Wide
from codec.opus import VOICE, Decoder, Encoder, carries_fec, packet_samples
from proto.frames import (
    FRAME_BYTES,
    FRAME_SAMPLES,
    SAMPLE_RATE_HZ,
    DownFrame,
    UpFrame,
)
from proto.messages import MAX_INT
from proto.payload import MAX_PAYLOAD_BYTES, Payload
from relay.carriage import (
    MAX_DTX_BYTES,
    MadeUp,
    OpusHearing,
    OpusSpeaking,
    carriage,
    chosen,
)
from tests.transceiver.leg import level, voice

AUDIBLE = 1000.0
PCM = bytes(FRAME_BYTES)
GOOD = [
    Encoder().encode(voice(0, round(SAMPLE_RATE_HZ * ms / 1000)))
    for ms in (2.5, 5, 10, 20, 40, 60)
]
"""Packets of all durations that an encoder makes in one frame or two."""


class Edge:
    """Opus frames as an edge passes them on."""

    def __init__(self) -> None:
        self.hearing = OpusHearing()
        self.position = 0
        self._encoder = Encoder()
        self._encoder.set_expected_loss(20)

    def frame(self) -> UpFrame:
        pcm = voice(self.position, FRAME_SAMPLES)
        frame = UpFrame(self.position, 0, 0, self._encoder.encode(pcm))
        self.position += FRAME_SAMPLES
        return frame

    def say(self, packets: int = 1) -> list[tuple[int, bytes]]:
        return [
            piece for _ in range(packets) for piece in self.hearing.take(self.frame())
        ]

    def lose(self, packets: int) -> None:
        for _ in range(packets):
            self.frame()


def joined(pieces: list[tuple[int, bytes]]) -> bytes:
    """Return PCM without a seam, from the first piece on."""
    for (start, pcm), (following, _) in itertools.pairwise(pieces):
        assert start + len(pcm) // 2 == following
    return b"".join(pcm for _, pcm in pieces)


@pytest.mark.parametrize(
    "offered",
    [
        offer
        for count in range(len(Payload) + 1)
        for offer in itertools.permutations(Payload, count)
    ],
)
def test_the_edge_gets_what_it_likes_best_of_what_is_spoken_here(
    offered: tuple[Payload, ...],
) -> None:
    assert chosen(offered) is (offered[0] if offered else Payload.PCM)


def test_a_voice_is_heard_whole() -> None:
    pcm = joined(Edge().say(50))
    assert len(pcm) == 50 * FRAME_BYTES
    assert level(pcm) > AUDIBLE


@pytest.mark.parametrize("lost", range(1, 7))
@pytest.mark.parametrize("on_the_link", [True, False])
def test_what_is_lost_up_to_120_ms_is_made_up(*, lost: int, on_the_link: bool) -> None:
    edge = Edge()
    pieces = edge.say(20)
    edge.lose(lost)
    if on_the_link:
        edge.hearing.lost()
    following = edge.frame()
    pieces += edge.hearing.take(following) + edge.say(4)
    pcm = joined(pieces)
    assert len(pcm) == (25 + lost) * FRAME_BYTES
    gap = pcm[20 * FRAME_BYTES :][: lost * FRAME_BYTES]
    assert level(gap[:FRAME_BYTES]) > AUDIBLE
    assert level(pcm[-FRAME_BYTES:]) > AUDIBLE
    made_up = edge.hearing.made_up
    assert made_up.recovered == carries_fec(following.payload)
    assert made_up.recovered + made_up.concealed == lost


def test_of_a_longer_loss_the_rest_is_a_jump() -> None:
    edge = Edge()
    edge.say(20)
    edge.lose(30)
    (first, _), *others, (last, _) = edge.say()
    assert first == 20 * FRAME_SAMPLES
    assert last == 50 * FRAME_SAMPLES
    assert sum(len(pcm) for _, pcm in others) == 5 * FRAME_BYTES


def test_silence_that_was_announced_is_no_loss() -> None:
    edge = Edge()
    edge.say(20)
    edge.hearing.take(edge.frame()._replace(payload=Encoder().encode(bytes(960))[:1]))
    edge.lose(30)
    ((position, _),) = edge.say()
    assert position == 51 * FRAME_SAMPLES


def comfort_spaced(frame: UpFrame, gap_frames: int) -> UpFrame:
    """Return a frame moved behind a gap."""
    position = frame.position_samples + gap_frames * FRAME_SAMPLES
    return frame._replace(position_samples=position)


@pytest.mark.parametrize("told_frames", [5, 19, 30])
def test_nothing_is_made_up_where_silence_was_told(told_frames: int) -> None:
    edge = Edge()
    edge.say(20)
    frame = comfort_spaced(edge.frame(), 19)
    if told_frames < 19:
        assert carries_fec(frame.payload)
    told = (20 + told_frames) * FRAME_SAMPLES
    pieces = edge.hearing.take(frame, told)
    positions = [position // FRAME_SAMPLES for position, _ in pieces]
    assert positions == ([38, 39] if told_frames < 19 else [39])
    assert edge.hearing.made_up.concealed == 0


def test_comfort_packets_that_no_packet_announces_are_no_loss() -> None:
    edge, encoder = Edge(), Encoder()
    edge.say(20)
    for second in range(5):
        hiss = UpFrame((39 + 20 * second) * FRAME_SAMPLES, 0, 0, encoder.encode(PCM))
        assert len(hiss.payload) > MAX_DTX_BYTES
        told = hiss.position_samples - FRAME_SAMPLES // 2
        ((position, _),) = edge.hearing.take(hiss, told)
        assert position == hiss.position_samples
    assert edge.hearing.made_up == MadeUp()


def test_a_position_that_goes_back_is_moved_on() -> None:
    edge = Edge()
    edge.say(20)
    edge.position = 0
    ((position, _),) = edge.say()
    assert position == 20 * FRAME_SAMPLES


@pytest.mark.parametrize(
    "payload", [b"\xff", b"\xff" * 1000, b"\x03", b"\x00" * 1000, b"\x4b\xff"]
)
def test_what_is_no_packet_is_made_up_and_the_next_one_heard(payload: bytes) -> None:
    edge = Edge()
    edge.say(20)
    made_up = edge.hearing.take(edge.frame()._replace(payload=payload))
    assert all(0 < len(pcm) <= FRAME_BYTES for _, pcm in made_up)
    assert level(joined(edge.say(5))) > AUDIBLE


def modes() -> list[bytes]:
    """Return packets of 2.5 to 120 ms in all modes, in three orders."""
    encoders = [
        Encoder(VOICE._replace(bitrate_bps=rate)) for rate in (16_000, 26_000, 64_000)
    ]
    packets = [
        encoder.encode(voice(0, round(SAMPLE_RATE_HZ * ms / 1000)))
        for ms in (20, 2.5, 60, 10, 40, 5)
        for encoder in encoders
    ]
    toc, *frame = encoders[0].encode(voice(0, 60 * SAMPLE_RATE_HZ // 1000))
    packets.append(bytes((toc | 0b10, len(frame), *frame, *frame)))  # RFC 6716, 3.2.4
    count = len(packets)
    return [packets[n * step % count] for step in (1, 7, 11) for n in range(count)]


@pytest.mark.parametrize("lost_after", [0, 1, 2])
def test_a_caller_may_change_mode_and_duration_at_any_packet(lost_after: int) -> None:
    packets = modes()
    assert {_mode(packet) for packet in packets} == {"silk", "hybrid", "celt"}
    assert {60, 2880} <= {packet_samples(packet) for packet in packets}
    hearing, position, pieces = OpusHearing(), 0, []
    for number, packet in enumerate(packets):
        if number and lost_after and number % (lost_after + 1) == 0:
            position += packet_samples(packets[number - 1])
        pieces += hearing.take(UpFrame(position, 0, 0, packet))
        position += packet_samples(packet)
    assert len(joined(pieces)) == 2 * position
    assert hearing.made_up.corrupt == 0
    assert level(joined(pieces)) > AUDIBLE


def _mode(packet: bytes) -> str:
    configuration = packet[0] >> 3
    return "silk" if configuration < 12 else "hybrid" if configuration < 16 else "celt"


def test_what_is_made_up_where_a_caller_just_stopped_fades() -> None:
    edge = Edge()
    spoken = edge.say(20)
    edge.lose(250)  # 5 s without a packet, and no word of it: a track that was stopped
    *made_up, (position, _) = edge.say()
    assert position == 270 * FRAME_SAMPLES
    levels = [level(pcm) for _, pcm in made_up]
    assert len(levels) <= 6
    assert max(levels) < 1.5 * level(spoken[-1][1])
    quiet = [level(pcm) for start, pcm in made_up if start < 26 * FRAME_SAMPLES]
    assert quiet[4] < AUDIBLE / 2


def test_what_is_said_is_encoded_as_it_leaves() -> None:
    sent: list[DownFrame] = []
    carried = carriage(Payload.OPUS, sent.append)
    frames = [
        DownFrame(1, n * FRAME_SAMPLES, 160, voice(n * FRAME_SAMPLES, FRAME_SAMPLES))
        for n in range(20)
    ]
    for frame in frames:
        carried.send(frame)
    assert [frame._replace(payload=b"") for frame in sent] == [
        frame._replace(payload=b"") for frame in frames
    ]
    assert {packet_samples(frame.payload) for frame in sent} == {FRAME_SAMPLES}
    decoder = Decoder()
    pcm = b"".join(decoder.decode(frame.payload) for frame in sent)
    assert level(pcm) > AUDIBLE


def test_nothing_of_one_talkspurt_leaks_into_the_next() -> None:
    sent: list[DownFrame] = []
    speaking = OpusSpeaking(sent.append)
    for n in range(10):
        pcm = voice(n * FRAME_SAMPLES, FRAME_SAMPLES)
        speaking.send(DownFrame(1, n * FRAME_SAMPLES, 160, pcm))
    speaking.send(DownFrame(2, 0, 160, bytes(FRAME_BYTES)))
    assert level(Decoder().decode(sent[-1].payload)) < 10


@pytest.mark.parametrize("law", [Payload.PCMU, Payload.PCMA])
def test_g711_is_made_wide_and_narrow_in_step(law: Payload) -> None:
    sent: list[DownFrame] = []
    carried = carriage(law, sent.append)
    for n in range(20):
        pcm = voice(n * FRAME_SAMPLES, FRAME_SAMPLES)
        carried.send(DownFrame(1, n * FRAME_SAMPLES, 160, pcm))
    assert {len(frame.payload) for frame in sent} == {160}
    pieces = [
        piece
        for frame in sent
        for piece in carried.hearing.take(
            UpFrame(frame.position_samples, 0, 0, frame.payload)
        )
    ]
    assert len(joined(pieces)) == 20 * FRAME_BYTES
    assert level(joined(pieces)) > AUDIBLE
    carried.hearing.lost()
    carried.send(DownFrame(2, 0, 160, bytes(FRAME_BYTES)))
    assert level(Wide(law).decode(sent[-1].payload)) < 10


@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(0, 10_000), st.integers(0, MAX_INT)),
            st.one_of(
                st.binary(min_size=1, max_size=MAX_PAYLOAD_BYTES),
                st.sampled_from(GOOD),
            ),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_no_edge_makes_hearing_raise_or_go_back(
    frames: list[tuple[int, bytes, bool]],
) -> None:
    hearing, end = OpusHearing(), 0
    for position, payload, lost in frames:
        if lost:
            hearing.lost()
        for start, pcm in hearing.take(UpFrame(position, 0, 0, payload)):
            assert start >= end
            assert 0 < len(pcm) <= FRAME_BYTES
            end = start + len(pcm) // 2
