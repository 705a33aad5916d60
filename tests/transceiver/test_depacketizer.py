"""What the link gets of the packets a caller sends, in virtual time."""

import random

import pytest
from hypothesis import given, settings, strategies as st

from proto.frames import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_RATE_HZ
from tests.transceiver.leg import (
    FRAME_S,
    FRAME_TICKS,
    Caller,
    Leg,
    level,
    lose,
    speak,
)

pytestmark = pytest.mark.usefixtures("each_way")

AUDIBLE = 1000.0


def positions(leg: Leg) -> list[int]:
    return [frame.position_samples for _, frame in leg.up]


def pcm_up(leg: Leg) -> bytes:
    return b"".join(frame.payload for _, frame in leg.up)


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
