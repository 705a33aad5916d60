"""A leg with lanes does what one without them does, whatever happens."""

import itertools
from typing import Any

import pytest
from hypothesis import event, given, settings, strategies as st

from codec.opus import MAX_PAYLOAD_BYTES
from tests.transceiver.lanes import compare
from tests.transceiver.leg import FRAME_S, FRAME_TICKS, PAYLOAD_TYPE, RED_TYPE, Sent
from tests.transceiver.script import (
    CODINGS,
    USUAL,
    Script,
    Step,
    monologues,
    plans,
    protecting,
    scripts,
)
from transceiver import red
from transceiver.profile import Plan, Profile
from transceiver.rtp import CLOCK_HZ

pytest.importorskip("transceiver.lane", reason="the lanes were not compiled")


@settings(max_examples=100, deadline=None)
@given(
    script=scripts,
    profile=st.sampled_from((Profile.AUTO, Profile.AUTO, Profile.QUALITY)),
    knows_red=st.booleans(),
)
def test_a_leg_with_lanes_is_one_without(
    script: Script, profile: Profile, knows_red: bool
) -> None:
    leg = compare(script, profile, knows_red=knows_red).leg
    event("up", f"{10 * leg.passed_up // max(len(leg.up), 1)}0 %")
    event("down", f"{10 * leg.passed_down // max(len(leg.sent), 1)}0 %")


@settings(max_examples=200, deadline=None)
@given(lost=st.sampled_from((5, 10, 20, 40, 60)), script=monologues, plan=plans)
def test_a_lane_s_red_is_that_of_a_leg_without(
    lost: int, script: Script, plan: Plan
) -> None:
    leg = compare([reporting(lost), *script], plan).leg
    event("down", f"{10 * leg.passed_down // max(len(leg.sent), 1)}0 %")
    event("repeats", max(map(repeats, leg.sent), default=0))


def repeats(packet: Sent) -> int:
    if packet.payload_type != RED_TYPE:
        return 0
    return len(red.repeats(packet.payload, PAYLOAD_TYPE))


def conversing(packets: int) -> Step:
    return Step("converse", {"packets": packets, "lead_ms": 0})


def speaking(packets: int, **told: Any) -> Step:
    usual = {"coding": USUAL, "repeats": 0, "every_s": FRAME_S, "marker": False}
    return Step("speak", {"packets": packets, **usual, **told})


def talking(frames: int, **told: Any) -> Step:
    usual = {"lead_ms": 150, "every_s": FRAME_S, "skipped": 0, "last_bytes": 960}
    return Step("talk", {"frames_": frames, **usual, **told})


LOOK = Step("look", {})

WATCH = Step("watch", {})

EXAMINE = Step("examine", {})

SEEN = (WATCH, LOOK, EXAMINE)
"""Watched anew, a call leaves its lanes: what is looked at is what they gave back."""


def reporting(lost: int = 0, **told: Any) -> Step:
    usual = {"cycle": True, "behind": 0, "ago_s": None, "estimate_bps": None}
    return Step("report", {"lost": lost, **usual, **told})


PLEASED = reporting()
"""A report that nothing was lost, which ends the RED a call begins with."""

LOSSY = reporting(lost=50)
"""A report of 20 % of loss: taken for half of that at first."""


@pytest.mark.parametrize("knows_red", [False, True])
def test_a_plain_call_takes_the_lanes(knows_red: bool) -> None:
    script = [WATCH, PLEASED, conversing(200)]
    leg = compare(script, knows_red=knows_red).leg
    assert len(leg.up) == len(leg.sent) == 200
    assert leg.passed_up >= 180
    assert leg.passed_down >= 180


def test_red_of_the_caller_s_and_frames_ahead_of_their_time_take_the_lanes() -> None:
    script = [PLEASED, speaking(100, repeats=2), talking(100), EXAMINE]
    leg = compare(script).leg
    assert leg.passed_up >= 90
    assert leg.passed_down >= 80


@pytest.mark.parametrize(
    "step",
    [
        Step("late", {"back": 0}),
        Step("lose", {"packets": 3, "coding": USUAL, "every_s": FRAME_S}),
        Step("jump", {"ticks": 100_000, "packets": 0}),
        Step("change", {"stream": 1}),
        Step("flush", {"back": 0}),
        Step("stray", {"talkspurt": 0, "position": -480, "lead_ms": 0, "size": 960}),
        WATCH,
        PLEASED,
    ],
    ids=lambda step: step.act,
)
def test_a_call_returns_to_the_lanes_after_what_is_not_usual(step: Step) -> None:
    usual = [Step("begin", {}), conversing(50)]
    for first in (PLEASED, LOSSY):
        leg = compare([first, *usual, step, *usual, step, *usual]).leg
        assert leg.passed_up >= 130
        assert leg.passed_down >= 90


@pytest.mark.parametrize(
    ("ticks", "seconds", "passes"),
    [
        (2 * 60, 0.0, True),
        (1, 0.0, True),
        (20 * FRAME_TICKS, 0.4, True),
        (10 * CLOCK_HZ - 2, 7.98, True),
        (10 * CLOCK_HZ + 4, 7.98, False),
        (2**32 - 2, 0.0, False),
    ],
)
def test_a_pause_of_the_caller_s_takes_the_lane(
    ticks: int, seconds: float, passes: bool
) -> None:
    talk = [PLEASED, conversing(20), waiting(1.0), speaking(2)]
    pause = Step("pause", {"ticks": ticks, "seconds": seconds})
    passed = [
        compare([*talk, *more, EXAMINE]).leg.passed_up
        for more in ((), (pause, speaking(1, every_s=0.0)))
    ]
    assert passed[1] - passed[0] == passes


def test_a_pause_is_as_long_as_no_voice_was_there() -> None:
    foreign = Step("send", {"first": 0x80, "kind": 0, "body": b"x"})
    talk = [PLEASED, conversing(20), waiting(1.0), foreign, waiting(1.0)]
    pause = Step("pause", {"ticks": 4 * CLOCK_HZ, "seconds": 0.0})
    assert compare([*talk, pause, speaking(1), EXAMINE]).leg.passed_up == 20


def test_silence_takes_the_lane() -> None:
    silence = Step("silence", {"packets": 1, "every_s": FRAME_S})
    pause = Step("pause", {"ticks": 19 * FRAME_TICKS, "seconds": 19 * FRAME_S})
    leg = compare([PLEASED, conversing(20), *[silence, pause] * 50, EXAMINE]).leg
    assert len(leg.up) == 70
    assert leg.passed_up >= 60


def test_a_look_at_a_call_costs_no_packet_its_lane() -> None:
    script = [PLEASED, conversing(50), *[LOOK, conversing(1)] * 50]
    leg = compare(script, Profile.AUTO, knows_red=True).leg
    assert leg.passed_up >= 90
    assert leg.passed_down >= 90


def repeating(blocks: int) -> Step:
    return Step("repeat", {"blocks": blocks, "length": 0, "newest": 111, "cut": 0})


def waiting(seconds: float) -> Step:
    return Step("wait", {"seconds": seconds})


EMPTY = Step("send", {"first": 0x80, "kind": 111, "body": b""})
FAR_AWAY = reporting(ago_s=0.2)


@pytest.mark.parametrize(
    "steps",
    [
        [speaking(450, every_s=0.0), *SEEN, speaking(100, every_s=0.001), *SEEN],
        [repeating(9), speaking(1), repeating(10), speaking(1)],
        [EMPTY, speaking(1), *SEEN],
        [
            Step("jump", {"ticks": 0, "packets": 2}),
            *(EMPTY, waiting(0.1), EMPTY, speaking(3)),
            *(Step("pause", {"ticks": 2880, "seconds": 0.06}), speaking(3)),
        ],
        [
            talking(5, every_s=0.0),
            waiting(0.15),
            talking(1),
            waiting(0.0193),
            talking(1, every_s=0.0, lead_ms=200),
            *SEEN,
        ],
        [talking(130, every_s=0.0, lead_ms=250), waiting(0.1), talking(9), *SEEN],
        [
            FAR_AWAY,
            talking(9, lead_ms=0),
            waiting(0.25),
            talking(1, every_s=0.0),
            speaking(1, every_s=0.0),
            *SEEN,
            speaking(9, every_s=0.01),
        ],
    ],
    ids=["rush", "red", "empty", "lost", "early", "full", "underrun"],
)
def test_what_befalls_a_plain_call_befalls_it_without_lanes(steps: Script) -> None:
    for first in (PLEASED, LOSSY):
        script = [first, conversing(20), *steps, conversing(20)]
        assert compare(script).leg.passed_up >= 30


@pytest.mark.parametrize("before", [[50], [49, 1], [40]], ids=str)
def test_a_broken_packet_does_not_change_which_one_is_timed(before: list[int]) -> None:
    broken = Step("send", {"first": 0x80, "kind": 111, "body": b"\1\0"})
    spoken = [step for count in before for step in (EXAMINE, speaking(count))]
    script = [PLEASED, conversing(20), WATCH, *spoken, broken, EXAMINE]
    assert compare([*script, speaking(60), EXAMINE]).leg.passed_up >= 100


def test_figures_are_python_s_to_the_last_bit() -> None:
    """Of a caller whose clock is ours, transit times are what rounding leaves.

    A processor's fused multiplication and addition would leave something else.
    """
    as_ours = Step("jump", {"ticks": 1000 * CLOCK_HZ + 5 * FRAME_TICKS, "packets": 0})
    usual = [speaking(2, every_s=0.0193), EXAMINE] * 20
    script = [PLEASED, as_ours, conversing(1), *usual, speaking(300, every_s=0.0)]
    leg = compare([*script, EXAMINE, *usual], Profile.AUTO, knows_red=False).leg
    assert leg.passed_up >= 330


@pytest.mark.parametrize(
    "step",
    [
        speaking(50, coding=CODINGS[-1]),
        Step("repeat", {"blocks": 10, "length": 0, "newest": 111, "cut": 0}),
        Step("send", {"first": 0x90, "kind": 111, "body": b"\xbe\xde\0\0\x78\1"}),
    ],
    ids=["60 ms", "too much RED", "header extension"],
)
def test_what_is_not_usual_takes_no_lane(step: Step) -> None:
    leg = compare([step] * 2).leg
    assert leg.passed_up == leg.passed_down == 0


@pytest.mark.parametrize("most", range(red.MAX_REPEATS + 1))
def test_as_many_repeats_as_are_taken_take_the_lane(most: int) -> None:
    script = [LOSSY, talking(50), LOOK, talking(50), waiting(0.2)]
    leg = compare(script, protecting(most, bitrate_bps=16_000)).leg
    assert leg.passed_down >= 90
    assert [repeats(packet) for packet in leg.sent] == [
        min(sent_before, most) for sent_before in range(100)
    ]


@pytest.mark.parametrize(
    ("planned", "knows_red"),
    [(protecting(red.MAX_REPEATS + 1), True), (protecting(2), False)],
    ids=["too many", "not agreed on"],
)
def test_what_cannot_be_repeated_takes_no_lane(planned: Plan, knows_red: bool) -> None:
    script = [reporting(lost=60), talking(100)]
    leg = compare(script, planned, knows_red=knows_red).leg
    assert leg.passed_down == 0


@pytest.mark.parametrize(
    ("size", "fitting"),
    [(341, 2), (342, 1), (512, 1), (513, 0), (1024, 0), (MAX_PAYLOAD_BYTES, 0)],
)
def test_a_lane_repeats_as_much_as_there_is_room_for(size: int, fitting: int) -> None:
    planned = protecting(red.MAX_REPEATS, bitrate_bps=(size - 1) * 400)
    leg = compare([LOSSY, talking(20), waiting(0.2)], planned).leg
    newest = [red.newest(packet.payload) for packet in leg.sent[1:]]
    assert {len(payload) for _, payload in newest} == {size}
    assert [repeats(packet) for packet in leg.sent[1:]] == [
        min(sent_before, fitting) for sent_before in range(1, 20)
    ]


def test_repeats_begin_and_end_in_the_midst_of_a_talkspurt() -> None:
    lossy = reporting(lost=30)
    tight = [reporting(lost=30, estimate_bps=bps) for bps in (150_000, 250_000)]
    script = [lossy, talking(50), *tight, talking(250), lossy, talking(50)]
    leg = compare([*script, *tight, talking(50), waiting(0.2)]).leg
    assert leg.passed_down >= 380
    counts = [repeats(packet) for packet in leg.sent]
    assert [most for most, _ in itertools.groupby(counts)] == [0, 1, 0, 1, 0]


def test_nothing_is_repeated_over_a_step_in_time_within_a_lane() -> None:
    script = [LOSSY, talking(10, lead_ms=0), talking(1, lead_ms=0, skipped=1)]
    script += [EXAMINE, talking(9, lead_ms=0)]
    leg = compare(script, protecting(2)).leg
    assert leg.passed_down == 18
    assert [repeats(packet) for packet in leg.sent[8:14]] == [2, 2, 0, 1, 2, 2]
