"""SRTP in place."""

import pytest
from pylibsrtp import Policy, Session

from tests.transceiver.leg import session
from transceiver import rtp
from transceiver.srtp import (
    MAX_DATAGRAM_BYTES,
    MAX_STREAMS,
    SrtpReceiver,
    SrtpSender,
)


@pytest.fixture
def receiver() -> SrtpReceiver:
    return SrtpReceiver(session(1, Policy.SSRC_ANY_INBOUND))


@pytest.fixture
def sender() -> SrtpSender:
    return SrtpSender(session(1, Policy.SSRC_ANY_OUTBOUND))


def packet(sequence: int, ssrc: int = 7, body: bytes = b"payload") -> bytes:
    return rtp.build_header(111, sequence, 0, ssrc, marker=False) + body


REPORT = bytes.fromhex("80c9000100000007")


def test_what_is_sealed_is_opened(sender: SrtpSender, receiver: SrtpReceiver) -> None:
    for sequence in range(65_500, 65_600):
        datagram = sender.seal_rtp(packet(sequence))
        assert datagram
        assert b"payload" not in datagram
        assert receiver.open_rtp(datagram) == packet(sequence)
    sealed = sender.seal_rtcp(REPORT)
    assert sealed
    assert receiver.open_rtcp(sealed) == REPORT


def test_pylibsrtp_itself_understands_what_is_sealed(sender: SrtpSender) -> None:
    peer = session(1, Policy.SSRC_ANY_INBOUND)
    assert peer.unprotect(sender.seal_rtp(packet(1)) or b"") == packet(1)
    assert peer.unprotect_rtcp(sender.seal_rtcp(REPORT) or b"") == REPORT


def test_strangers_and_damage_are_counted_and_give_nothing(
    receiver: SrtpReceiver,
) -> None:
    stranger = SrtpSender(session(9, Policy.SSRC_ANY_OUTBOUND))
    datagram = stranger.seal_rtp(packet(1)) or b""
    for data in (b"", b"\x80", datagram, datagram[:20], bytes(2000), packet(1)):
        assert receiver.open_rtp(data) is None
        assert receiver.open_rtcp(data) is None
    assert receiver.auth_failures == 12
    assert receiver.replays == 0


def test_a_replay_is_told_from_a_forgery(
    sender: SrtpSender, receiver: SrtpReceiver
) -> None:
    first = sender.seal_rtp(packet(1)) or b""
    assert receiver.open_rtp(first)
    assert receiver.open_rtp(first) is None
    for sequence in range(2, 400):
        receiver.open_rtp(sender.seal_rtp(packet(sequence)) or b"")
    assert receiver.open_rtp(first) is None
    assert (receiver.replays, receiver.auth_failures) == (2, 0)


def test_a_caller_cannot_open_streams_without_end(
    sender: SrtpSender, receiver: SrtpReceiver
) -> None:
    opened = [
        receiver.open_rtp(sender.seal_rtp(packet(1, ssrc)) or b"")
        for ssrc in range(1, MAX_STREAMS + 10)
    ]
    assert sum(clear is not None for clear in opened) == MAX_STREAMS
    assert receiver.open_rtp(sender.seal_rtp(packet(2, 1)) or b"")


def test_strangers_use_up_no_streams(
    sender: SrtpSender, receiver: SrtpReceiver
) -> None:
    for ssrc in range(1, 200):
        receiver.open_rtp(packet(1, ssrc) + bytes(16))
    assert receiver.open_rtp(sender.seal_rtp(packet(1)) or b"")


def test_what_is_too_long_is_counted_and_not_sent(sender: SrtpSender) -> None:
    assert sender.seal_rtp(packet(1, body=bytes(MAX_DATAGRAM_BYTES))) is None
    assert sender.failures == 1
    assert sender.seal_rtp(packet(1, body=bytes(MAX_DATAGRAM_BYTES - 12)))


def test_the_private_names_are_those_of_the_installed_version() -> None:
    probe = Session()
    assert len(probe._cdata) == len(probe._buffer) >= 1500
