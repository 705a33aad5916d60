"""RED on one leg, both ways, in virtual time."""

import random

import pytest

from codec.opus import Encoder, carries_fec
from proto.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, DownFrame
from proto.payload import Payload
from tests.transceiver.leg import (
    FRAME_S,
    FRAME_TICKS,
    PAYLOAD_TYPE,
    RED_TYPE,
    Caller,
    Leg,
    Sent,
    level,
    voice,
)
from transceiver import red, rtcp
from transceiver.profile import Profile

pytestmark = pytest.mark.usefixtures("each_way")

AUDIBLE = 1000.0


class RedCaller(Caller):
    """A browser that sends RED: each packet with as many before it as it is told to."""

    def __init__(self, leg: Leg, repeats: int = 1) -> None:
        super().__init__(leg)
        self.encoder = Encoder()  # expects no loss: nothing but RED repeats
        self.instead: bytes | None = None  # of what it would send next
        self._repeats = repeats
        self._before: list[tuple[int, bytes]] = []

    def packet(
        self, payload: bytes, ticks: int = FRAME_TICKS, kind: int = RED_TYPE
    ) -> bytes:
        before = self._before[: self._repeats]
        data = red.build(PAYLOAD_TYPE, payload, self.timestamp, before)
        self._before.insert(0, (self.timestamp, payload))
        data, self.instead = data if self.instead is None else self.instead, None
        return super().packet(data, ticks, kind)

    def pause(self, frames: int) -> None:
        """Send nothing for so long, as DTX does: time goes on, numbers do not."""
        self.timestamp += frames * FRAME_TICKS
        self.leg.run(frames * FRAME_S)


def speak(leg: Leg, caller: Caller, packets: int, *lost: int) -> None:
    for number in range(packets):
        datagram = caller.speak()
        if number not in lost:
            leg.receive(datagram)
        leg.run(FRAME_S)


def positions(leg: Leg) -> list[int]:
    return [frame.position_samples // FRAME_SAMPLES for _, frame in leg.up]


@pytest.fixture
def leg() -> Leg:
    return Leg(knows_red=True)


def test_red_is_heard_as_what_it_holds_is(leg: Leg) -> None:
    speak(leg, RedCaller(leg), 50)
    assert positions(leg) == list(range(50))
    assert level(b"".join(frame.payload for _, frame in leg.up)) > AUDIBLE
    counts = leg.media.counts()
    assert counts["foreign_packets"] == counts["repeated_packets"] == 0
    assert counts["duplicate_packets"] == 0


@pytest.mark.parametrize("payload", [Payload.PCM, Payload.OPUS])
def test_a_lost_packet_is_filled_by_the_next_at_once(payload: Payload) -> None:
    leg = Leg(payload, knows_red=True)
    speak(leg, RedCaller(leg), 40, 20, 30)
    assert positions(leg) == list(range(40))
    for at, frame in leg.up:
        late_s = at - leg.began_at - frame.position_samples / SAMPLE_RATE_HZ
        assert late_s < FRAME_S + 1e-3
    counts = leg.media.counts()
    assert counts["recovered_packets"] == counts["repeated_packets"] == 2
    assert counts["lost_packets"] == counts["concealed_packets"] == 0


def test_two_repeats_fill_a_burst_of_two(leg: Leg) -> None:
    speak(leg, RedCaller(leg, repeats=2), 40, 20, 21)
    assert positions(leg) == list(range(40))
    assert leg.media.counts()["repeated_packets"] == 2


def test_fec_fills_what_red_does_not_reach(leg: Leg) -> None:
    caller = RedCaller(leg)
    caller.encoder.set_expected_loss(20)
    speak(leg, caller, 40, 20, 21)
    assert positions(leg) == list(range(40))
    counts = leg.media.counts()
    assert counts["repeated_packets"] == 1
    assert (counts["recovered_packets"], counts["concealed_packets"]) == (2, 0)


def test_what_was_filled_and_then_comes_late_is_not_heard_twice(leg: Leg) -> None:
    caller = RedCaller(leg)
    speak(leg, caller, 10)
    late, next_one = caller.speak(), caller.speak()
    leg.receive(next_one)
    leg.receive(late)
    leg.run(FRAME_S)
    assert positions(leg) == list(range(12))
    assert leg.media.counts()["duplicate_packets"] == 1


def test_random_loss_leaves_far_less_to_be_concealed_than_without_red() -> None:
    concealed = {}
    for make in (RedCaller, Caller):
        leg, rng = Leg(knows_red=True), random.Random(1)
        caller = make(leg)
        caller.encoder.set_expected_loss(0)
        lost = [number for number in range(10, 1000) if rng.random() < 0.1]
        speak(leg, caller, 1000, *lost)
        leg.run(0.2)
        concealed[make] = leg.media.counts()["concealed_packets"]
        ends = [frame.position_samples + FRAME_SAMPLES for _, frame in leg.up]
        assert [frame.position_samples for _, frame in leg.up][1:] == ends[:-1]
    assert concealed[Caller] > 80
    assert concealed[RedCaller] < concealed[Caller] / 5


def test_our_reports_go_on_telling_of_what_was_repaired(leg: Leg) -> None:
    caller = RedCaller(leg)
    speak(leg, caller, 200, *range(0, 200, 4))
    last = leg.reports[-1][1].blocks[0]
    assert last.fraction_lost == pytest.approx(64, abs=6)


def test_repeats_from_before_a_pause_fill_their_place_and_no_other(leg: Leg) -> None:
    caller = RedCaller(leg)
    speak(leg, caller, 10)
    caller.pause(14)
    speak(leg, caller, 10)
    caller.speak()  # lost, and then a pause: its repeat is 13,440 ticks old
    leg.run(FRAME_S)
    caller.pause(13)
    speak(leg, caller, 5)
    assert positions(leg) == [*range(10), *range(24, 35), *range(48, 53)]
    counts = leg.media.counts()
    assert (counts["repeated_packets"], counts["clock_jumps"]) == (1, 0)


def test_a_repeat_that_overlaps_what_was_heard_is_not_put_anywhere(leg: Leg) -> None:
    caller = RedCaller(leg)
    speak(leg, caller, 10)
    caller.sequence += 1  # a number is missing, but no time
    speak(leg, caller, 10)
    leg.run(0.1)
    assert leg.media.counts()["repeated_packets"] == 0
    assert positions(leg) == list(range(20))


@pytest.mark.parametrize(
    "data", [b"", b"\xef", b"\xef\x0f\x00\x99\x6f", b"\xff" * 60, b"\xef" * 44]
)
def test_malformed_red_is_counted_and_filled_by_the_next(data: bytes) -> None:
    leg = Leg(knows_red=True)
    caller = RedCaller(leg)
    speak(leg, caller, 10)
    caller.instead = data
    speak(leg, caller, 11)
    assert positions(leg) == list(range(21))
    counts = leg.media.counts()
    assert (counts["malformed_packets"], counts["repeated_packets"]) == (1, 1)


def test_red_of_another_payload_keeps_its_place_and_is_no_loss(leg: Leg) -> None:
    caller = Caller(leg)
    speak(leg, caller, 5)
    leg.receive(caller.packet(bytes((110,)) + b"tone", ticks=0, kind=RED_TYPE))
    speak(leg, caller, 5)
    assert positions(leg) == list(range(10))
    counts = leg.media.counts()
    assert (counts["foreign_packets"], counts["lost_packets"]) == (1, 0)


def test_red_that_was_not_negotiated_is_foreign() -> None:
    leg = Leg()
    caller = RedCaller(leg)
    leg.receive(caller.speak())
    assert leg.up == []
    assert leg.media.counts()["foreign_packets"] == 1


def play(leg: Leg, talkspurt: int, frames: int, *missing: int) -> list[Sent]:
    before = len(leg.sent)
    for number in range(frames):
        start = number * FRAME_SAMPLES
        if number not in missing:
            leg.play(DownFrame(talkspurt, start, 0, voice(start, FRAME_SAMPLES)))
        leg.run(FRAME_S)
    leg.run(0.1)
    return leg.sent[before:]


def lose(leg: Leg, percent: float, times: int = 1) -> None:
    caller = Caller(leg)
    fraction = round(percent * 2.56)
    for _ in range(times):
        leg.run(1.0)
        caller.report(caller.block(fraction_lost=fraction))


def test_red_is_sent_once_the_caller_reports_loss_and_not_before(leg: Leg) -> None:
    lose(leg, 0)
    plain = play(leg, 1, 20)
    assert {packet.payload_type for packet in plain} == {PAYLOAD_TYPE}
    lose(leg, 5)
    first, *rest = play(leg, 2, 20)
    assert first.payload_type == PAYLOAD_TYPE
    assert {packet.payload_type for packet in rest} == {RED_TYPE}
    newest = [first.payload, *(red.newest(one.payload)[1] for one in rest)]
    for previous, packet in zip(newest, rest, strict=False):
        (repeat,) = red.repeats(packet.payload, PAYLOAD_TYPE)
        assert repeat == (FRAME_TICKS, previous)
    numbers = [packet.sequence for packet in [*plain, first, *rest]]
    assert numbers == [(numbers[0] + i) % 2**16 for i in range(40)]
    assert leg.media.counts()["repeating_packets"] == 19


def test_under_heavy_loss_two_packets_are_repeated(leg: Leg) -> None:
    lose(leg, 15, times=5)
    sent = play(leg, 1, 10)
    assert [len(red.repeats(one.payload, PAYLOAD_TYPE)) for one in sent[1:]] == [
        *(1, 2, 2, 2, 2, 2, 2, 2, 2)
    ]


def test_nothing_is_repeated_over_a_hole_in_time(leg: Leg) -> None:
    lose(leg, 5)
    sent = play(leg, 1, 10, 5)
    kinds = [packet.payload_type for packet in sent]
    plain = [number for number, kind in enumerate(kinds) if kind == PAYLOAD_TYPE]
    assert plain == [0, 5]


def test_a_caller_without_red_gets_fec_instead() -> None:
    leg = Leg()
    lose(leg, 10, times=3)
    sent = play(leg, 1, 30)
    assert {packet.payload_type for packet in sent} == {PAYLOAD_TYPE}
    assert any(carries_fec(packet.payload) for packet in sent)


def test_a_starving_caller_gets_fewer_bits_and_no_repeats(leg: Leg) -> None:
    def bytes_of(sent: list[Sent]) -> float:
        return sum(len(packet.payload) for packet in sent) / len(sent)

    lose(leg, 0)
    plenty = play(leg, 1, 30)
    lose(leg, 60, times=3)
    starved = play(leg, 2, 30)
    assert {packet.payload_type for packet in starved} == {PAYLOAD_TYPE}
    assert bytes_of(starved) < bytes_of(plenty) / 2


def test_a_report_that_is_repeated_in_its_datagram_counts_once(leg: Leg) -> None:
    caller = Caller(leg)
    block = caller.block(fraction_lost=128)
    info = rtcp.SenderInfo(caller.ssrc, 0, 0, 1, 1)
    report = rtcp.build_report(info, "caller", block, sending=True)
    leg.receive(caller.speak())
    leg.receive(leg.protect.protect_rtcp(15 * report))
    assert leg.media.adaptation.loss_percent == 25.0


@pytest.mark.parametrize("profile", Profile)
def test_ease_takes_complexity_away_and_gives_it_back(profile: Profile) -> None:
    leg = Leg(profile=profile)
    planned = leg.media.adaptation.tuning(0.0).complexity
    leg.media.ease(eased=True)
    assert leg.media.adaptation.tuning(0.0).complexity == 0
    assert play(leg, 1, 3)
    leg.media.ease(eased=False)
    assert leg.media.adaptation.tuning(0.0).complexity == planned
