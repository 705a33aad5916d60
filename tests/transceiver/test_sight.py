"""What is measured of a call's set-up and of its audio's way through the edge."""

import pytest

from proto.frames import FRAME_SAMPLES, DownFrame
from tests.transceiver.leg import FRAME_S, OUR_SSRC, Caller, Leg, voice
from transceiver import rtcp
from transceiver.sight import ANSWER, DOWNLINK, MEDIA, UPLINK, Sight

pytestmark = pytest.mark.usefixtures("each_way")


class Watched:
    """A leg whose delays are measured in its own time."""

    def __init__(self) -> None:
        self.leg = Leg()
        self.caller = Caller(self.leg)
        self.up_s: list[float] = []
        self.down_s: list[float] = []
        stages = {UPLINK: self.up_s.append, DOWNLINK: self.down_s.append}
        self.unheard_s: list[float] = []
        self.leg.media.watched_by(
            Sight(
                stages,
                clock=lambda: self.leg.loop.now,
                unheard=self.unheard_s.append,
            )
        )

    def reported(self, behind: int, rtt_s: float) -> None:
        """Have the caller report: a packet so many behind our last was its newest."""
        leg = self.leg
        echoed = rtcp.ntp_short(leg.loop.now - rtt_s)
        newest = leg.sent[-1].sequence - behind
        self.caller.report(rtcp.ReportBlock(OUR_SSRC, 0, 0, newest, 0, echoed, 0))


def test_a_packet_in_order_adds_no_delay() -> None:
    watched = Watched()
    watched.leg.receive(watched.caller.speak())
    assert watched.up_s == [0.0]


def test_a_packet_that_waits_for_another_is_late_by_as_much() -> None:
    watched = Watched()
    leg, caller = watched.leg, watched.caller
    for _ in range(50):
        leg.receive(caller.speak())
        leg.run(FRAME_S)
    missing, timed = caller.speak(), caller.speak()
    leg.receive(timed)
    leg.run(0.01)
    leg.receive(missing)
    assert watched.up_s == pytest.approx([0.0, 0.01])


def test_a_frame_sent_when_it_is_due_adds_no_delay_whatever_its_lead() -> None:
    watched = Watched()
    watched.leg.play(DownFrame(1, 0, 100, voice(0, FRAME_SAMPLES)))
    watched.leg.run(0.2)
    assert watched.down_s == pytest.approx([0.0])


@pytest.mark.parametrize(("behind", "unheard_s"), [(1, 0.02), (3, -0.02)])
def test_what_a_caller_had_got_is_held_against_what_it_is_taken_to_have_heard(
    behind: int, unheard_s: float
) -> None:
    watched = Watched()
    leg = watched.leg
    for i in range(25):  # at 40 ms there and back, two packets are under way
        pcm = voice(i * FRAME_SAMPLES, FRAME_SAMPLES)
        leg.play(DownFrame(1, i * FRAME_SAMPLES, 0, pcm))
        leg.run(FRAME_S / 2)
        if i:
            watched.reported(behind, 0.04)
        leg.run(FRAME_S / 2)
    assert watched.unheard_s[-1] == pytest.approx(unheard_s, abs=0.011)


def test_nothing_is_said_of_what_is_heard_while_nothing_sounds() -> None:
    watched = Watched()
    watched.leg.play(DownFrame(1, 0, 0, voice(0, FRAME_SAMPLES)))
    watched.leg.run(1.0)
    watched.reported(0, 0.04)
    assert watched.unheard_s == []


def test_set_up_is_measured_once_to_each_point_that_it_reaches() -> None:
    now = 5.0
    answered: list[float] = []
    flowing: list[float] = []
    set_up = {ANSWER: answered.append, MEDIA: flowing.append}
    sight = Sight(set_up=set_up, clock=lambda: now)
    now += 0.01
    sight.reached(ANSWER)
    now += 0.02
    sight.reached(MEDIA)
    now += 10
    sight.reached(MEDIA)
    assert answered == pytest.approx([0.01])
    assert flowing == pytest.approx([0.03])


def test_one_call_s_set_up_does_not_end_another_s() -> None:
    answered: list[float] = []
    set_up = {ANSWER: answered.append}
    for _ in range(2):
        Sight(set_up=set_up, clock=lambda: 0.0).reached(ANSWER)
    assert answered == [0.0, 0.0]
