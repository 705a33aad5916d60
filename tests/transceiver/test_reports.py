"""What caller and edge report to each other, and what comes of it."""

import itertools

import pytest

from codec.opus import carries_fec
from proto.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ
from tests.transceiver.leg import CALLER_SSRC, FRAME_S, Caller, Leg, play_talkspurt

pytestmark = pytest.mark.usefixtures("each_way")


def test_what_is_under_way_is_not_yet_heard_but_no_flush_can_stop_it() -> None:
    leg = Leg()
    caller = Caller(leg)
    sent_at = leg.loop.now
    leg.run(0.08)
    caller.report(caller.block(sent_s=sent_at))
    assert leg.media.reports.rtt_s == pytest.approx(0.08, abs=0.001)
    play_talkspurt(leg, 1, 10, lead_ms=0)
    leg.receive(caller.speak())
    heard = 10 * FRAME_SAMPLES - 0.04 * SAMPLE_RATE_HZ
    assert leg.up[-1][1].heard_talkspurt == 1
    assert leg.up[-1][1].heard_samples == pytest.approx(heard, abs=30)
    assert leg.media.flush(1, leg.loop.now) == (1, 10 * FRAME_SAMPLES)


def test_reports_say_honestly_what_was_lost() -> None:
    leg = Leg()
    caller = Caller(leg)
    for i in range(200):
        datagram = caller.speak()
        if i % 4:
            leg.receive(datagram)
        leg.run(FRAME_S)
    assert len(leg.reports) >= 2
    last = leg.reports[-1][1].blocks[0]
    assert last.ssrc == CALLER_SSRC
    assert last.fraction_lost == pytest.approx(64, abs=4)


def test_reports_come_every_one_to_two_seconds_and_say_sender_only_when_sending() -> (
    None
):
    leg = Leg()
    play_talkspurt(leg, 1, 100)
    leg.run(20)
    times = [at for at, _ in leg.reports]
    steps = [b - a for a, b in itertools.pairwise(times)]
    assert all(0.99 <= step <= 2.01 for step in steps)
    assert leg.reports[2][1].sender is not None
    assert leg.reports[-1][1].sender is None


def test_a_sender_report_names_the_rtp_time_of_its_moment() -> None:
    leg = Leg()
    play_talkspurt(leg, 1, 150, lead_ms=0)
    at, feedback = leg.reports[-1]
    last = max((packet for packet in leg.sent if packet.at <= at), key=lambda p: p.at)
    assert feedback.sender is not None
    ahead = (feedback.sender.timestamp - last.timestamp) & 0xFFFFFFFF
    assert ahead == pytest.approx((at - last.at) * 48_000, abs=2)


def test_the_callers_loss_raises_what_is_spent_on_repeats_and_is_forgotten() -> None:
    leg = Leg()
    caller = Caller(leg)
    for _ in range(5):
        caller.report(caller.block(fraction_lost=51))
    assert leg.media.adaptation.loss_percent == pytest.approx(20, abs=1)
    play_talkspurt(leg, 1, 20)
    assert sum(carries_fec(packet.payload) for packet in leg.sent) > 10
    for _ in range(20):
        caller.report(caller.block())
    assert leg.media.adaptation.loss_percent < 1
