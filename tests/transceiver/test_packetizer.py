"""Frames to RTP packets."""

import pytest

from codec.opus import Decoder
from proto.frames import FRAME_BYTES, FRAME_SAMPLES, DownFrame
from tests.transceiver.leg import level, voice
from transceiver import rtp
from transceiver.packetizer import Packetizer
from transceiver.rtp import RtpPacket

START = 65_534, 2**32 - 2000


@pytest.fixture
def packetizer() -> Packetizer:
    return Packetizer(9, (111, 63), START, now=100.0)


def send(
    packetizer: Packetizer,
    now: float,
    talkspurt: int,
    position: int,
    samples: int = 480,
) -> tuple[RtpPacket, bool]:
    frame = DownFrame(talkspurt, position, 0, voice(position, samples))
    data = packetizer.packetize(frame, now)
    assert data
    return rtp.parse(data), bool(data[1] & 0x80)


def since_start(packet: RtpPacket) -> int:
    return (packet.timestamp - START[1]) % 2**32


def test_numbers_go_on_over_their_wrap_and_the_marker_opens_a_talkspurt(
    packetizer: Packetizer,
) -> None:
    for i in range(5):
        packet, marker = send(packetizer, 100 + i * 0.02, 1, i * FRAME_SAMPLES)
        assert packet.sequence == (START[0] + i) % 2**16
        assert since_start(packet) == i * 960
        assert marker == (i == 0)


def test_rtp_time_follows_real_time_over_a_pause(packetizer: Packetizer) -> None:
    send(packetizer, 100.0, 1, 0)
    packet, marker = send(packetizer, 107.5, 2, 0)
    assert since_start(packet) == 7.5 * 48_000
    assert marker


def test_rtp_time_follows_media_time_inside_a_talkspurt(packetizer: Packetizer) -> None:
    send(packetizer, 100.0, 1, 0)
    packet, marker = send(packetizer, 100.017, 1, 3 * FRAME_SAMPLES)
    assert since_start(packet) == 3 * 960
    assert packet.sequence == (START[0] + 1) % 2**16
    assert not marker


def test_talkspurts_never_overlap_in_rtp_time(packetizer: Packetizer) -> None:
    send(packetizer, 100.0, 1, 0)
    send(packetizer, 100.0, 1, FRAME_SAMPLES)
    packet, _ = send(packetizer, 100.001, 2, 0)
    assert since_start(packet) == 2 * 960


def test_a_talkspurt_whose_beginning_was_lost_begins_in_real_time(
    packetizer: Packetizer,
) -> None:
    packet, marker = send(packetizer, 101.0, 1, 50 * FRAME_SAMPLES)
    assert since_start(packet) == 48_000
    assert marker


@pytest.mark.parametrize(
    ("samples", "sent"), [(1, 60), (60, 60), (100, 120), (239, 240), (300, 480)]
)
def test_a_short_last_frame_is_filled_up_to_what_opus_takes(
    packetizer: Packetizer, samples: int, sent: int
) -> None:
    packet, _ = send(packetizer, 100.0, 1, 0, samples)
    assert len(Decoder().decode(packet.payload)) == sent * 2


@pytest.mark.parametrize("pcm", [bytes(FRAME_BYTES + 2), bytes(10_000)])
def test_what_is_no_frame_is_dropped_and_counted(
    packetizer: Packetizer, pcm: bytes
) -> None:
    assert packetizer.packetize(DownFrame(1, 0, 0, pcm), 100.0) is None
    assert (packetizer.unencodable, packetizer.packets) == (1, 0)
    packet, marker = send(packetizer, 100.1, 1, 480)
    assert marker
    assert packet.sequence == START[0]


def test_the_sender_is_described_at_any_moment(packetizer: Packetizer) -> None:
    octets = len(send(packetizer, 100.0, 1, 0)[0].payload)
    info = packetizer.sender_info(100.5)
    assert (info.ssrc, info.packets, info.octets) == (9, 1, octets)
    assert (info.timestamp - START[1]) % 2**32 == 24_000
    assert info.ntp == int(100.5 * 2**32)


def test_before_anything_is_sent_rtp_time_runs_all_the_same(
    packetizer: Packetizer,
) -> None:
    info = packetizer.sender_info(101.0)
    assert info.packets == 0
    assert (info.timestamp - START[1]) % 2**32 == 48_000


def test_a_new_talkspurt_holds_no_trace_of_the_last(packetizer: Packetizer) -> None:
    for i in range(10):
        send(packetizer, 100 + i * 0.02, 1, i * FRAME_SAMPLES)
    data = packetizer.packetize(DownFrame(2, 0, 0, bytes(FRAME_BYTES)), 101.0)
    assert data
    assert level(Decoder().decode(rtp.parse(data).payload)) < 10
