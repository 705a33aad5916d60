"""The media of one leg in virtual time: what the model and the caller's ear get."""

import contextlib
import itertools
import math

import pylibsrtp
import pytest
from hypothesis import given, settings, strategies as st

from codec.opus import carries_fec
from proto.frames import FRAME_BYTES, FRAME_SAMPLES, DownFrame, UpFrame
from tests.transceiver.leg import (
    CALLER_SSRC,
    FRAME_S,
    FRAME_TICKS,
    OUR_SSRC,
    Caller,
    Leg,
    heard,
    level,
    lose,
    play_talkspurt,
    speak,
    voice,
)
from transceiver.playout import HUSH_FRAMES

pytestmark = pytest.mark.usefixtures("each_way")

AUDIBLE = 1000.0


def test_replays_are_counted_and_never_heard_twice() -> None:
    leg = Leg()
    caller = Caller(leg)
    datagrams = [caller.speak() for _ in range(5)]
    for datagram in datagrams + datagrams:
        leg.receive(datagram)
    assert len(leg.up) == 5
    assert leg.media.counts()["replayed_datagrams"] == 5


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


class Closing(list[tuple[float, UpFrame]]):
    """Gets a leg's frames, and closes it on the first."""

    def __init__(self, leg: Leg) -> None:
        super().__init__()
        self._leg = leg

    def append(self, item: tuple[float, UpFrame]) -> None:
        super().append(item)
        self._leg.media.close()


def test_who_closes_on_getting_a_frame_gets_no_more() -> None:
    leg = Leg()
    leg.up = Closing(leg)
    speak(leg, Caller(leg), 3)
    assert len(leg.up) == 1


def test_who_closes_on_getting_a_frame_that_waited_ends_everything() -> None:
    leg = Leg()
    caller = Caller(leg)
    speak(leg, caller, 5)
    lose(leg, caller, 1)
    leg.up = Closing(leg)
    leg.receive(caller.speak())
    assert leg.up == []
    leg.run(0.1)
    assert leg.up
    assert leg.media._alarm.deadline == math.inf
    assert leg.reports[-1][1].leaving == [OUR_SSRC]


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
