"""The media of one leg in virtual time: what the model and the caller's ear get."""

import contextlib
import itertools
import math
import random

import pylibsrtp
import pytest
from hypothesis import given, settings, strategies as st

from codec.opus import carries_fec
from proto.frames import (
    FRAME_BYTES,
    FRAME_SAMPLES,
    SAMPLE_RATE_HZ,
    DownFrame,
    UpFrame,
)
from tests.transceiver.leg import (
    CALLER_SSRC,
    FRAME_S,
    FRAME_TICKS,
    OUR_SSRC,
    Caller,
    Leg,
    heard,
    level,
    voice,
)
from transceiver.playout import HUSH_FRAMES

pytestmark = pytest.mark.usefixtures("each_way")

AUDIBLE = 1000.0


def speak(leg: Leg, caller: Caller, packets: int) -> None:
    for _ in range(packets):
        leg.receive(caller.speak())
        leg.run(FRAME_S)


def lose(leg: Leg, caller: Caller, packets: int) -> None:
    for _ in range(packets):
        caller.speak()
        leg.run(FRAME_S)


def positions(leg: Leg) -> list[int]:
    return [frame.position_samples for _, frame in leg.up]


def pcm_up(leg: Leg) -> bytes:
    return b"".join(frame.payload for _, frame in leg.up)


def play_talkspurt(leg: Leg, number: int, frames: int, lead_ms: int = 100) -> None:
    for i in range(frames):
        start = i * FRAME_SAMPLES
        leg.play(DownFrame(number, start, lead_ms, voice(start, FRAME_SAMPLES)))
        leg.run(FRAME_S)


def test_packets_in_order_leave_at_once_across_the_wrap_of_both_numbers() -> None:
    leg = Leg()
    caller = Caller(leg)
    for _ in range(50):
        leg.receive(caller.speak())
        assert leg.up[-1][0] == leg.loop.now
        leg.run(FRAME_S)
    assert positions(leg) == [FRAME_SAMPLES * i for i in range(50)]
    assert all(len(frame.payload) == FRAME_BYTES for _, frame in leg.up)
    assert level(pcm_up(leg)) > AUDIBLE


def test_a_lost_packet_is_heard_from_the_next_ones_repeat() -> None:
    leg = Leg()
    caller = Caller(leg)
    speak(leg, caller, 20)
    lose(leg, caller, 1)
    speak(leg, caller, 20)
    assert positions(leg) == [FRAME_SAMPLES * i for i in range(41)]
    assert level(leg.up[20][1].payload) > AUDIBLE
    counts = leg.media.counts()
    assert (counts["lost_packets"], counts["recovered_packets"]) == (1, 1)
    assert counts["concealed_packets"] == 0


def test_packets_without_audio_in_a_pause_leave_media_time_to_the_callers_clock() -> (
    None
):
    leg = Leg()
    caller = Caller(leg)
    speak(leg, caller, 5)
    for _ in range(10):  # a key held down, as RFC 4733 tells of it
        leg.receive(caller.packet(b"\x01\x0a\x00\xa0", ticks=48_000, kind=110))
        leg.run(1.0)
    speak(leg, caller, 2)
    assert leg.media.counts()["clock_jumps"] == 0
    assert positions(leg)[5] == 5 * FRAME_SAMPLES + 10 * SAMPLE_RATE_HZ


def test_a_burst_is_concealed_up_to_its_last_packet_and_that_one_recovered() -> None:
    leg = Leg()
    caller = Caller(leg)
    speak(leg, caller, 20)
    lose(leg, caller, 3)
    speak(leg, caller, 5)
    assert positions(leg) == [FRAME_SAMPLES * i for i in range(28)]
    counts = leg.media.counts()
    assert (counts["recovered_packets"], counts["concealed_packets"]) == (1, 2)


def test_only_the_packet_behind_a_loss_waits_and_the_rest_leave_at_once() -> None:
    leg = Leg()
    caller = Caller(leg)
    speak(leg, caller, 20)
    lose(leg, caller, 1)
    resumed_at = leg.loop.now
    speak(leg, caller, 20)
    delays = [
        at - (leg.began_at + frame.position_samples / SAMPLE_RATE_HZ)
        for at, frame in leg.up
        if at > resumed_at + 1.5 * FRAME_S
    ]
    assert len(delays) == 18
    assert max(delays) == pytest.approx(0, abs=1e-3)


def test_a_long_stall_makes_up_little_and_delays_nothing_after_it() -> None:
    leg = Leg()
    caller = Caller(leg)
    speak(leg, caller, 10)
    caller.sequence += 3000
    caller.timestamp += 3000 * FRAME_TICKS
    leg.run(60)
    resumed_at = leg.loop.now
    speak(leg, caller, 10)
    made_up = [
        f for _, f in leg.up if 4800 <= f.position_samples < 3010 * FRAME_SAMPLES
    ]
    assert sum(len(frame.payload) for frame in made_up) <= FRAME_BYTES
    at, frame = next(x for x in leg.up if x[1].position_samples == 3010 * FRAME_SAMPLES)
    assert at - resumed_at <= 0.02 + 1e-9
    assert leg.up[-1][0] == pytest.approx(leg.loop.now - FRAME_S)
    assert frame.payload


def test_what_is_made_up_before_a_jump_ends_in_silence() -> None:
    leg = Leg()
    caller = Caller(leg)
    speak(leg, caller, 10)
    lose(leg, caller, 7)
    speak(leg, caller, 2)
    made_up = [frame for _, frame in leg.up if 10 <= frame.position_samples // 480 < 16]
    assert 5 <= len(made_up) <= 6
    assert level(made_up[-1].payload[-100:]) < 200
    assert level(made_up[0].payload) > AUDIBLE


def test_swapped_packets_are_put_in_order_and_nothing_is_lost() -> None:
    leg = Leg()
    caller = Caller(leg)
    speak(leg, caller, 10)
    first, second, third = caller.speak(), caller.speak(), caller.speak()
    for datagram in (third, first, second):
        leg.receive(datagram)
    assert positions(leg) == [FRAME_SAMPLES * i for i in range(13)]
    assert leg.media.counts()["lost_packets"] == 0


def test_silence_that_was_not_sent_is_a_jump_in_time_and_no_loss() -> None:
    leg = Leg()
    caller = Caller(leg)
    speak(leg, caller, 10)
    caller.timestamp += 19 * FRAME_TICKS  # DTX: a packet each 400 ms
    leg.run(19 * FRAME_S)
    speak(leg, caller, 10)
    expected = [*range(10), *range(29, 39)]
    assert positions(leg) == [FRAME_SAMPLES * i for i in expected]
    counts = leg.media.counts()
    assert counts["lost_packets"] == counts["concealed_packets"] == 0
    assert counts["clock_jumps"] == 0


@pytest.mark.parametrize("jump", [2**30, -(2**30), -FRAME_TICKS, 2**31 - 1])
def test_a_jump_of_the_callers_clock_moves_media_time_by_real_time_only(
    jump: int,
) -> None:
    leg = Leg()
    caller = Caller(leg)
    speak(leg, caller, 10)
    caller.timestamp += jump
    speak(leg, caller, 10)
    assert positions(leg) == [FRAME_SAMPLES * i for i in range(20)]
    assert leg.up[-1][0] == pytest.approx(leg.loop.now - FRAME_S)
    assert leg.media.counts()["clock_jumps"] == 1


def test_another_ssrc_is_followed_at_once_and_the_old_ones_stragglers_are_not() -> None:
    leg = Leg()
    old = Caller(leg)
    speak(leg, old, 10)
    straggler = old.speak()
    new = Caller(leg, ssrc=77)
    new.sequence, new.timestamp = 4711, 815
    leg.receive(new.speak())
    leg.receive(straggler)
    leg.run(FRAME_S)
    speak(leg, new, 9)
    assert positions(leg) == [FRAME_SAMPLES * i for i in range(20)]
    assert leg.media.counts()["foreign_packets"] == 1


def test_a_caller_may_return_to_a_former_stream_when_the_present_one_is_quiet() -> None:
    leg = Leg()
    old, new = Caller(leg), Caller(leg, ssrc=77)
    speak(leg, old, 5)
    speak(leg, new, 5)
    leg.run(1.0)
    speak(leg, old, 5)
    assert len(leg.up) == 15


def test_another_payload_type_keeps_its_place_and_is_no_loss() -> None:
    leg = Leg()
    caller = Caller(leg)
    speak(leg, caller, 5)
    leg.receive(caller.packet(b"\x01\x0a\x00\xa0", ticks=0, kind=110))
    speak(leg, caller, 5)
    assert len(leg.up) == 10
    counts = leg.media.counts()
    assert (counts["foreign_packets"], counts["lost_packets"]) == (1, 0)
    assert counts["concealed_packets"] == 0


def test_replays_are_counted_and_never_heard_twice() -> None:
    leg = Leg()
    caller = Caller(leg)
    datagrams = [caller.speak() for _ in range(5)]
    for datagram in datagrams + datagrams:
        leg.receive(datagram)
    assert len(leg.up) == 5
    assert leg.media.counts()["replayed_datagrams"] == 5


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xff", b"\x00", b"\x03", b"\x7f\xff\xff", bytes(1200), b"\xaa" * 300],
)
def test_a_broken_payload_leaves_the_next_good_one_audible(payload: bytes) -> None:
    leg = Leg()
    caller = Caller(leg)
    speak(leg, caller, 5)
    leg.receive(caller.packet(payload))
    leg.run(FRAME_S)
    speak(leg, caller, 5)
    assert level(b"".join(frame.payload for _, frame in leg.up[-3:])) > AUDIBLE
    assert leg.up[-1][0] == pytest.approx(leg.loop.now - FRAME_S)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=1600))
def test_any_datagram_is_survived_and_the_next_good_one_heard(data: bytes) -> None:
    leg = Leg()
    leg.receive(data)
    leg.receive(bytes([0x80, 200]) + data)
    leg.receive(Caller(leg).speak())
    assert len(leg.up) == 1


@settings(max_examples=200, deadline=None)
@given(first=st.integers(0, 63), kind=st.integers(0, 255), data=st.binary(max_size=400))
def test_any_authentic_packet_is_survived_and_the_next_good_one_heard(
    first: int, kind: int, data: bytes
) -> None:
    leg = Leg()
    caller = Caller(leg)
    start = bytes([0x80 | first, kind]) + (65_000).to_bytes(2) + bytes(4)
    packet = start + CALLER_SSRC.to_bytes(4) + data
    if 192 <= kind <= 223:
        seal, packet = leg.protect.protect_rtcp, packet[:2] + packet[8:] + bytes(8)
    else:
        seal = leg.protect.protect
    with contextlib.suppress(pylibsrtp.Error):  # it refuses to seal some of them
        packet = seal(packet)
    leg.receive(packet)
    caller.sequence = 65_001
    leg.receive(caller.speak())
    leg.run(0.1)
    assert leg.up
    assert level(leg.up[-1][1].payload) > 0


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), loss=st.floats(0, 0.5), spread_ms=st.integers(0, 90))
def test_no_audio_comes_twice_or_out_of_order_whatever_the_path_does(
    seed: int, loss: float, spread_ms: int
) -> None:
    leg = Leg()
    caller = Caller(leg)
    rng = random.Random(seed)
    arrivals = []
    for i in range(60):
        datagram = caller.speak()
        for _ in range(rng.choice((1, 1, 1, 2))):
            if rng.random() >= loss:
                at = leg.began_at + i * FRAME_S + rng.uniform(0, spread_ms / 1000)
                arrivals.append((at, datagram))
    for at, datagram in sorted(arrivals):
        leg.loop.run_until(at)
        leg.receive(datagram)
    leg.run(0.1)
    end = 0
    for at, frame in leg.up:
        assert frame.position_samples >= end
        assert 0 < len(frame.payload) <= FRAME_BYTES
        end = frame.position_samples + len(frame.payload) // 2
        assert at - leg.began_at < frame.position_samples / SAMPLE_RATE_HZ + 0.4


def test_frames_are_sent_at_a_steady_20_ms_with_numbers_in_step() -> None:
    leg = Leg()
    play_talkspurt(leg, 1, 50)
    leg.run(0.2)
    at = [packet.at for packet in leg.sent]
    assert at[0] - leg.began_at == pytest.approx(0.1, abs=0.001)
    steps = [b - a for a, b in itertools.pairwise(at)]
    assert all(step == pytest.approx(FRAME_S, abs=0.0006) for step in steps)
    first = leg.sent[0]
    for i, packet in enumerate(leg.sent):
        assert packet.sequence == (first.sequence + i) & 0xFFFF
        assert packet.timestamp == (first.timestamp + i * FRAME_TICKS) & 0xFFFFFFFF
        assert packet.marker == (i == 0)
    assert level(heard(leg.sent)) > AUDIBLE


def test_silence_costs_nothing_and_rtp_time_goes_on_through_it() -> None:
    leg = Leg()
    play_talkspurt(leg, 1, 10)
    leg.run(3.0)
    spoken = len(leg.sent)
    play_talkspurt(leg, 2, 10)
    leg.run(0.3)
    assert (spoken, len(leg.sent)) == (10, 20)
    last, first = leg.sent[9], leg.sent[10]
    assert first.marker
    assert first.sequence == (last.sequence + 1) & 0xFFFF
    passed_s = ((first.timestamp - last.timestamp) & 0xFFFFFFFF) / 48_000
    assert passed_s == pytest.approx(first.at - last.at, abs=0.001)


def test_an_echo_without_lead_is_sent_as_it_comes() -> None:
    leg = Leg()
    play_talkspurt(leg, 1, 5, lead_ms=0)
    assert [packet.at for packet in leg.sent] == pytest.approx(
        [leg.began_at + i * FRAME_S for i in range(5)]
    )


@pytest.mark.parametrize("position", [(1 << 40) + 1, 1 << 62, (1 << 63) - 1])
def test_no_position_that_a_relay_may_say_raises(position: int) -> None:
    leg = Leg()
    caller = Caller(leg)
    for start in (position, min(position + FRAME_SAMPLES, (1 << 63) - 1)):
        leg.play(DownFrame(1, start, 0, voice(0, FRAME_SAMPLES)))
        speak(leg, caller, 2)
    play_talkspurt(leg, 2, 3)
    leg.run(1.0)
    assert leg.up[-1][1].heard_samples == 0
    play_talkspurt(leg, 3, 3)
    assert len(leg.up) == 4


def test_a_flush_silences_at_once_and_for_good() -> None:
    leg = Leg()
    play_talkspurt(leg, 1, 20)
    talkspurt, samples = leg.media.flush(1, leg.loop.now)
    before = len(leg.sent)
    assert (talkspurt, samples) == (1, before * FRAME_SAMPLES)
    leg.play(DownFrame(1, 20 * FRAME_SAMPLES, 0, bytes(FRAME_BYTES)))
    leg.run(1.0)
    assert len(leg.sent) == before + HUSH_FRAMES
    assert level(heard(leg.sent)[(before + 2) * FRAME_BYTES :]) < 10


def test_nothing_of_a_flushed_talkspurt_is_encoded_into_the_next_one() -> None:
    leg = Leg()
    play_talkspurt(leg, 1, 20)
    leg.media.flush(1, leg.loop.now)
    silence = bytes(FRAME_BYTES)
    for i in range(3):
        leg.play(DownFrame(2, i * FRAME_SAMPLES, 0, silence))
    leg.run(0.1)
    first = next(packet for packet in leg.sent if packet.marker and packet.at > 1000.11)
    assert not carries_fec(first.payload)
    assert level(heard([first])) < 10


def test_every_uplink_frame_tells_what_was_heard() -> None:
    leg = Leg()
    caller = Caller(leg)
    leg.receive(caller.speak())
    assert leg.up[-1][1][1:3] == (0, 0)
    for i in range(10):
        start = i * FRAME_SAMPLES
        leg.play(DownFrame(1, start, 0, voice(start, FRAME_SAMPLES)))
        leg.run(FRAME_S / 2)
        leg.receive(caller.speak())
        assert leg.up[-1][1].heard_talkspurt == 1
        assert leg.up[-1][1].heard_samples == pytest.approx(start + 240, abs=1)
        leg.run(FRAME_S / 2)


def test_what_is_under_way_is_not_yet_heard_but_no_flush_can_stop_it() -> None:
    leg = Leg()
    caller = Caller(leg)
    sent_at = leg.loop.now
    leg.run(0.08)
    caller.report(caller.block(sent_s=sent_at))
    assert leg.media.rtt_s == pytest.approx(0.08, abs=0.001)
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


def test_who_closes_on_getting_a_frame_gets_no_more() -> None:
    leg = Leg()

    class Closing(list[tuple[float, UpFrame]]):
        def append(self, item: tuple[float, UpFrame]) -> None:
            super().append(item)
            leg.media.close()

    leg.up = Closing()
    speak(leg, Caller(leg), 3)
    assert len(leg.up) == 1


def test_closing_says_goodbye_once_and_ends_everything() -> None:
    leg = Leg()
    caller = Caller(leg)
    play_talkspurt(leg, 1, 5)
    leg.media.close()
    leg.media.close()
    assert [f.leaving for _, f in leg.reports if f.leaving] == [[OUR_SSRC]]
    sent, reports = len(leg.sent), len(leg.reports)
    leg.receive(caller.speak())
    leg.play(DownFrame(2, 0, 0, bytes(FRAME_BYTES)))
    leg.run(10)
    assert (len(leg.sent), len(leg.reports), leg.up) == (sent, reports, [])
    assert leg.loop.armed == 0


def test_frames_no_encoder_takes_are_dropped_and_the_next_is_heard() -> None:
    leg = Leg()
    for i, pcm in enumerate((b"", b"\x01", bytes(962), bytes(5000), voice(0, 100))):
        leg.play(DownFrame(1, i * 5000, 0, pcm))
        leg.run(1.0)
    assert len(leg.sent) == 1
    assert leg.media.counts()["unsent_frames"] == 4


def test_the_shared_timer_sleeps_until_something_is_due() -> None:
    leg = Leg()
    assert leg.media._alarm.deadline < math.inf
    assert leg.loop.armed == 1
