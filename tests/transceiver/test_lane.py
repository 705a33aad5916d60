"""A leg with lanes does what one without them does, whatever happens."""

from typing import Any

import pytest
from hypothesis import event, given, settings, strategies as st

from tests.transceiver.lanes import compare
from tests.transceiver.leg import FRAME_S, FRAME_TICKS
from tests.transceiver.script import CODINGS, USUAL, Script, Step, scripts
from transceiver.profile import Profile
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

PLEASED = Step(
    "report",
    {"lost": 0, "cycle": True, "behind": 0, "ago_s": None, "estimate_bps": None},
)
"""A report that nothing was lost, which ends the RED a call begins with."""


@pytest.mark.parametrize("knows_red", [False, True])
def test_a_plain_call_takes_the_lanes(knows_red: bool) -> None:
    script = [WATCH, PLEASED, conversing(200)]
    leg = compare(script, Profile.AUTO, knows_red=knows_red).leg
    assert len(leg.up) == len(leg.sent) == 200
    assert leg.passed_up >= 180
    assert leg.passed_down >= 180


def test_red_of_the_caller_s_and_frames_ahead_of_their_time_take_the_lanes() -> None:
    script = [PLEASED, speaking(100, repeats=2), talking(100), EXAMINE]
    leg = compare(script, Profile.AUTO, knows_red=True).leg
    assert leg.passed_up >= 90
    assert leg.passed_down >= 80


@pytest.mark.parametrize(
    "step",
    [
        Step("late", {"back": 0}),
        Step("lose", {"packets": 3, "coding": USUAL, "every_s": FRAME_S}),
        Step("pause", {"ticks": 96_000, "seconds": 2.0}),
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
    script = [PLEASED, *usual, step, *usual, step, *usual]
    leg = compare(script, Profile.AUTO, knows_red=True).leg
    assert leg.passed_up >= 130
    assert leg.passed_down >= 90


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
FAR_AWAY = PLEASED._replace(told={**PLEASED.told, "ago_s": 0.2})


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
    script = [PLEASED, conversing(20), *steps, conversing(20)]
    assert compare(script, Profile.AUTO, knows_red=True).leg.passed_up >= 30


def test_figures_are_python_s_to_the_last_bit() -> None:
    """Of a caller whose clock is ours, transit times are what rounding leaves.

    A processor's fused multiplication and addition would leave something else.
    """
    as_ours = Step("jump", {"ticks": 1000 * CLOCK_HZ + 5 * FRAME_TICKS, "packets": 0})
    usual = [speaking(2, every_s=0.0193), LOOK] * 20
    script = [PLEASED, as_ours, conversing(1), *usual, speaking(300, every_s=0.0), LOOK]
    leg = compare([*script, *usual], Profile.AUTO, knows_red=False).leg
    assert leg.passed_up >= 330


@pytest.mark.parametrize(
    "step",
    [
        speaking(50, coding=CODINGS[-1]),
        Step("repeat", {"blocks": 10, "length": 0, "newest": 111, "cut": 0}),
        Step("send", {"first": 0x90, "kind": 111, "body": b"\xbe\xde\0\0\x78\1"}),
        talking(100),  # sent as RED, as no report has come
    ],
    ids=["60 ms", "too much RED", "header extension", "RED sent"],
)
def test_what_is_not_usual_takes_no_lane(step: Step) -> None:
    leg = compare([step] * 2, Profile.AUTO, knows_red=True).leg
    assert leg.passed_up == leg.passed_down == 0
