"""One call's media, with a socket that is none."""

import functools
import random
import socket
import struct
import time
from typing import Any, cast

import pytest
from pylibsrtp import Policy, Session

from bench.load import red, voice
from bench.load.line import COMFORT_FRAMES, REPORT_FRAMES, Keys, Line, Part
from bench.load.voice import Turns, Voice
from tests.support.netem import Path
from tests.support.sound import babble
from transceiver import rtcp, rtp
from transceiver.srtp import SrtpReceiver, SrtpSender

UP, DOWN = bytes(range(28)), bytes(range(28, 56))


class Wire:
    """Keeps what is sent, gives what is put into it."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.coming: list[tuple[bytes, int]] = []
        self.is_broken = False

    def setsockopt(self, *_: int) -> None: ...

    def send(self, data: bytes) -> int:
        if self.is_broken:
            raise BlockingIOError
        self.sent.append(data)
        return len(data)

    def recvmsg(self, *_: int) -> tuple[bytes, list[tuple[int, int, bytes]], int, None]:
        if not self.coming:
            raise ConnectionRefusedError
        data, at_ns = self.coming.pop(0)
        stamp = struct.pack("qq", at_ns // 10**9, at_ns % 10**9)
        return data, [(socket.SOL_SOCKET, 35, stamp)] if at_ns else [], 0, None


def session(key: bytes, direction: int) -> Session:
    return Session(Policy(key, direction, 0, Policy.SRTP_PROFILE_AEAD_AES_128_GCM))


@functools.cache
def spoken() -> Voice:
    return voice.encode(babble(5, seed=1))


class Call:
    """A line and the server at its other end."""

    def __init__(
        self,
        *,
        sends_red: bool = False,
        turns: Turns = Turns(0),  # noqa: B008  # immutable
        down: Path | None = None,
    ) -> None:
        self.wire = Wire()
        self.other: list[bytes] = []
        keys = Keys(
            inbound=session(DOWN, Policy.SSRC_ANY_INBOUND),
            outbound=session(UP, Policy.SSRC_ANY_OUTBOUND),
            local_ssrc=7,
            payload_type=96,
            sends_red=sends_red,
            cname="caller",
        )
        part = Part(10, turns, None, down, is_sampled=True)
        sock = cast(socket.socket, self.wire)
        self.line = Line(sock, keys, spoken(), part, self.other.append)
        self.receiver = SrtpReceiver(session(UP, Policy.SSRC_ANY_INBOUND))
        self.sender = SrtpSender(session(DOWN, Policy.SSRC_ANY_OUTBOUND))

    def ticks(self, count: int) -> list[rtp.RtpPacket | None]:
        """Return what the server gets of some frames."""
        got: list[rtp.RtpPacket | None] = []
        for _ in range(count):
            datagram = self.line.tick()
            packet = None if datagram is None else self.receiver.open_rtp(datagram)
            got.append(None if packet is None else rtp.parse(packet))
        return got

    def server_sends(self, sequence: int, at_ns: int = 1) -> bytes:
        """Put a packet of the server's on the wire and have it read."""
        header = rtp.build_header(96, sequence, sequence * 960, 9, marker=False)
        datagram = self.sender.seal_rtp(header + b"sound")
        assert datagram is not None
        self.wire.coming.append((datagram, at_ns))
        self.line.receive()
        return datagram


def test_speech_is_sent_in_order_from_the_callers_place_in_it() -> None:
    packets: list[Any] = Call().ticks(3)
    assert [packet.payload for packet in packets] == spoken().payloads[10:13]
    assert [packet.sequence for packet in packets] == [0, 1, 2]
    assert [packet.timestamp for packet in packets] == [0, 960, 1920]


def test_speech_goes_round() -> None:
    packets: list[Any] = Call().ticks(len(spoken().payloads) + 1)
    assert packets[-1].payload == packets[0].payload


def test_red_repeats_from_the_second_packet_of_a_talkspurt_on() -> None:
    first, second = cast(list[Any], Call(sends_red=True).ticks(2))
    assert (first.payload_type, first.payload) == (96, spoken().payloads[10])
    assert second.payload_type == red.RED_TYPE
    assert second.payload.endswith(spoken().payloads[10] + spoken().payloads[11])


def test_who_listens_sends_comfort_noise_now_and_then() -> None:
    call = Call(turns=Turns(frames=50))
    packets = call.ticks(101)
    pause = [packet for packet in packets[50:100] if packet is not None]
    assert [packet.payload for packet in pause] == [spoken().comfort] * len(pause)
    assert len(pause) == len(range(60, 100, COMFORT_FRAMES))
    assert packets[100] is not None
    assert packets[100].sequence == 50 + len(pause)
    assert packets[100].timestamp == 100 * 960
    assert len(call.line.log.sent_ns) == 51


def test_a_packet_is_noted_with_the_kernels_stamp() -> None:
    call = Call()
    call.server_sends(65_535, at_ns=5_000_000_007)
    call.server_sends(0, at_ns=5_020_000_000)
    assert list(call.line.log.arrived_ns) == [5_000_000_007, 5_020_000_000]
    assert list(call.line.log.sequences) == [65_535, 65_536]
    assert [rtp.parse(one).payload for one in call.line.log.packets] == [b"sound"] * 2


def test_without_a_stamp_the_time_of_reading_is_noted() -> None:
    call, before_ns = Call(), time.time_ns()
    call.server_sends(1, at_ns=0)
    assert call.line.log.arrived_ns[0] >= before_ns


def test_what_is_forged_or_comes_twice_is_counted_and_dropped() -> None:
    call = Call()
    datagram = call.server_sends(1)
    for data in (datagram, datagram[:-1] + b"\0", bytes((128, 96)) + bytes(30)):
        call.wire.coming.append((data, 1))
        call.line.receive()
    assert call.line.unopened == 3
    assert len(call.line.log.arrived_ns) == 1


def test_stun_and_dtls_are_handed_on() -> None:
    call = Call()
    for data in (b"\x00\x01" + bytes(18), b"\x16" + bytes(20), b""):
        call.wire.coming.append((data, 1))
        call.line.receive()
    assert call.other == [b"\x00\x01" + bytes(18), b"\x16" + bytes(20)]


def test_a_socket_that_refuses_is_counted() -> None:
    call = Call()
    call.wire.is_broken = True
    call.line.send(b"datagram")
    call.line.receive()
    assert call.line.refused == 2


def test_reports_say_honestly_what_was_lost() -> None:
    call = Call()
    for sequence in (1, 2, 3, 5):
        call.server_sends(sequence)
    call.ticks(REPORT_FRAMES)
    packet = call.receiver.open_rtcp(call.wire.sent[0])
    assert packet is not None
    feedback = rtcp.parse(packet)
    assert feedback.sender is not None
    assert feedback.sender.packets == REPORT_FRAMES - 1
    (block,) = feedback.blocks
    assert (block.ssrc, block.lost, block.highest_sequence) == (9, 1, 5)


def test_an_emulated_network_loses_and_delays_what_comes() -> None:
    call = Call(down=Path(random.Random(1), delay_s=0.05, loss=0.5))
    for sequence in range(100):
        call.server_sends(sequence, at_ns=1_000_000_000)
    arrived = list(call.line.log.arrived_ns)
    assert 30 < len(arrived) < 70
    assert arrived == pytest.approx([1_050_000_000] * len(arrived), abs=1000)
    call.ticks(REPORT_FRAMES)
    packet = call.receiver.open_rtcp(call.wire.sent[0])
    assert packet is not None
    assert rtcp.parse(packet).blocks[0].fraction_lost > 60
