"""Reports read and written."""

import struct

import pytest
from hypothesis import given, strategies as st

from transceiver import rtcp
from transceiver.errors import MalformedPacket
from transceiver.rtcp import Reception, ReportBlock, SenderInfo

SENDER = SenderInfo(0x11223344, rtcp.ntp(1234.5), 99, 7, 700)
BLOCK = ReportBlock(0x55667788, 64, 12, 70_000, 480, 0x01020304, 65_536)


@pytest.mark.parametrize("block", [None, BLOCK, BLOCK._replace(lost=-3)])
@pytest.mark.parametrize("cname", ["", "a", "abc", "x" * 300])
def test_a_senders_report_is_read_as_it_was_built(
    block: ReportBlock | None, cname: str
) -> None:
    data = rtcp.build_report(SENDER, cname, block, sending=True)
    feedback = rtcp.parse(data)
    assert feedback.sender == SENDER
    assert feedback.blocks == ([block] if block else [])
    assert len(data) % 4 == 0


def test_a_receivers_report_names_no_sender() -> None:
    feedback = rtcp.parse(rtcp.build_report(SENDER, "edge", BLOCK, sending=False))
    assert (feedback.sender, feedback.blocks) == (None, [BLOCK])


def test_our_name_is_in_every_report() -> None:
    assert b"\x01\x04edge\x00" in rtcp.build_report(SENDER, "edge", None, sending=False)


def test_a_goodbye_is_read_behind_a_report() -> None:
    report = rtcp.build_report(SENDER, "edge", None, sending=False)
    assert rtcp.parse(report + rtcp.build_goodbye(5)).leaving == [5]


def test_an_estimate_of_the_bitrate_is_read() -> None:
    mantissa, exponent = 150_000, 3
    body = struct.pack("!II", 1, 0) + b"REMB"
    body += struct.pack("!II", 1 << 24 | exponent << 18 | mantissa, 0x55667788)
    feedback = rtcp.parse(struct.pack("!BBH", 0x8F, 206, len(body) // 4) + body)
    assert feedback.estimate_bps == mantissa * 8


def test_unknown_kinds_are_passed_over() -> None:
    unknown = struct.pack("!BBHI", 0x81, 210, 1, 0)
    report = rtcp.build_report(SENDER, "edge", BLOCK, sending=True)
    assert rtcp.parse(unknown + report + unknown).blocks == [BLOCK]


@pytest.mark.parametrize(
    "data",
    [
        b"\x80",
        b"\x80\xc8\x00\x00",
        b"\x81\xc9\x00\x01\x00\x00\x00\x00",
        b"\x00\xc9\x00\x01\x00\x00\x00\x00",
        b"\x80\xc9\xff\xff\x00\x00\x00\x00",
    ],
)
def test_what_is_shorter_than_it_says_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedPacket):
        rtcp.parse(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_feedback_or_malformed(data: bytes) -> None:
    for candidate in (data, b"\x8f\xce" + data, b"\x9f\xc8" + data):
        try:
            rtcp.parse(candidate)
        except MalformedPacket:
            continue


def received(sequences: list[int], interval_s: float = 0.02) -> Reception:
    reception = Reception(9, sequences[0], 48_000)
    for i, sequence in enumerate(sequences):
        reception.received(sequence, sequence * 960, 100 + i * interval_s)
    return reception


def test_loss_is_reported_for_the_interval_and_since_the_beginning() -> None:
    reception = received([i for i in range(100) if i % 10 != 5])
    first = reception.report(102)
    assert (first.fraction_lost, first.lost, first.highest_sequence) == (25, 10, 99)
    for sequence in range(100, 200):
        reception.received(sequence, sequence * 960, 104)
    second = reception.report(104)
    assert (second.fraction_lost, second.lost) == (0, 10)


def test_an_interval_without_packets_reports_no_loss() -> None:
    reception = received([1, 2, 3])
    reception.report(101)
    assert reception.report(102).fraction_lost == 0


def test_duplicates_make_loss_negative_and_its_fraction_nought() -> None:
    block = received([1, 2, 2, 2]).report(101)
    assert (block.fraction_lost, block.lost) == (0, -2)


def test_a_steady_stream_has_no_jitter_and_an_uneven_one_has() -> None:
    assert received(list(range(200))).report(104).jitter <= 1
    uneven = Reception(9, 0, 48_000)
    for i in range(400):
        uneven.received(i, i * 960, 100 + i * 0.02 + (0.01 if i % 2 else 0))
    assert uneven.report(110).jitter == pytest.approx(480, abs=5)


def test_jitter_survives_the_wrap_of_the_timestamp() -> None:
    reception = Reception(9, 0, 48_000)
    for i in range(100):
        timestamp = (2**32 - 50 * 960 + i * 960) % 2**32
        reception.received(i, timestamp, 100 + i * 0.02)
    assert reception.report(102).jitter <= 1


def test_the_round_trip_is_what_is_left_of_the_echo_of_a_report() -> None:
    reception = Reception(9, 0, 48_000)
    reception.sender_reported(SENDER._replace(ntp=rtcp.ntp(1000.0)), now=55.0)
    block = reception.report(55.5)
    assert rtcp.round_trip_s(block, 1000.58) == pytest.approx(0.08, abs=0.001)


def test_an_echo_of_nothing_or_of_the_future_tells_no_round_trip() -> None:
    assert rtcp.round_trip_s(BLOCK._replace(last_report=0), 1.0) is None
    future = BLOCK._replace(last_report=rtcp.ntp_short(50.0), delay=0)
    assert rtcp.round_trip_s(future, 40.0) is None


def test_an_echo_of_what_we_never_sent_tells_no_round_trip() -> None:
    wild = BLOCK._replace(last_report=rtcp.ntp_short(50.0), delay=0)
    assert rtcp.round_trip_s(wild, 59.0) == pytest.approx(9.0)
    assert rtcp.round_trip_s(wild, 3_000.0) is None
