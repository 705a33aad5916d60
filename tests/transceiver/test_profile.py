"""How a call is encoded, and what its caller's reports make of that."""

import random

import pytest

from codec.opus import VOICE, Application
from transceiver.adaptation import (
    ESTIMATE_S,
    FEC_PERCENT,
    HOLD_S,
    JUDGED_PACKETS,
    Adaptation,
    Tuning,
    wire_bps,
)
from transceiver.profile import Plan, Profile, easing_saves, plan
from transceiver.rtcp import ReportBlock

LOW_DELAY, VOIP = Application.LOW_DELAY, Application.VOIP


class Path:
    """A call's adaptation, and a caller that reports every second."""

    def __init__(self, profile: Profile = Profile.AUTO, *, knows_red: bool) -> None:
        self.plan = plan(profile, knows_red=knows_red)
        self.highest = 30_000
        self.adaptation = Adaptation(self.plan, self.highest + 1)
        self.now = 0.0

    def report(
        self, *losses: float, rtt_s: float | None = None, packets: int = 50
    ) -> Tuning:
        """Take reports of so many packets each, some percent of them lost."""
        for loss in losses:
            self.now += 1.0
            self.highest += packets
            block = ReportBlock(0, round(loss * 2.56), 0, self.highest, 0, 0, 0)
            self.adaptation.reported(block, rtt_s, self.now)
        return self.adaptation.tuning(self.now)

    def estimate(self, estimate_bps: float) -> None:
        self.adaptation.estimated(int(estimate_bps), self.now)

    @property
    def nominal_bps(self) -> int:
        return self.plan.encoding.bitrate_bps


@pytest.mark.parametrize(
    ("profile", "knows_red", "application", "has_fec", "most_repeats"),
    [
        (Profile.AUTO, True, LOW_DELAY, False, 2),
        (Profile.AUTO, False, VOIP, True, 0),
        (Profile.LOW_DELAY, True, LOW_DELAY, False, 2),
        (Profile.LOW_DELAY, False, LOW_DELAY, False, 0),
        (Profile.VOIP, True, VOIP, True, 1),
        (Profile.VOIP, False, VOIP, True, 0),
        (Profile.QUALITY, True, VOIP, True, 0),
        (Profile.QUALITY, False, VOIP, True, 0),
    ],
)
def test_setting_and_offer_choose_encoder_and_protection(
    profile: Profile,
    knows_red: bool,
    application: Application,
    has_fec: bool,
    most_repeats: int,
) -> None:
    chosen = plan(profile, knows_red=knows_red)
    assert chosen.encoding.application is application
    assert chosen.encoding.has_fec is has_fec
    assert len(chosen.red_percents) == most_repeats
    assert chosen.least_bps < chosen.encoding.bitrate_bps


def test_quality_is_what_benchmarks_compare() -> None:
    chosen = plan(Profile.QUALITY, knows_red=True)
    assert chosen._replace(easing_saves=0.0) == Plan(VOICE, 16_000)


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("knows_red", [True, False])
def test_easing_saves_something_where_it_changes_something(
    profile: Profile, *, knows_red: bool
) -> None:
    chosen = plan(profile, knows_red=knows_red)
    assert (chosen.easing_saves > 0) is (chosen.encoding.complexity > 0)
    assert chosen.easing_saves <= easing_saves(profile) < 1


def test_nothing_is_repeated_while_nothing_is_lost() -> None:
    path = Path(knows_red=True)
    assert path.report(*[0.0] * 60) == Tuning(
        0, path.nominal_bps, 0, path.plan.encoding.complexity
    )


def test_until_the_first_report_a_voice_without_fec_is_repeated() -> None:
    assert Path(knows_red=True).adaptation.tuning(0.0).repeats == 1
    assert Path(Profile.VOIP, knows_red=True).adaptation.tuning(0.0).repeats == 0
    assert Path(knows_red=False).adaptation.tuning(0.0).repeats == 0
    assert Path(knows_red=True).report(0.0).repeats == 0


def test_red_begins_with_the_first_report_of_loss_and_outlives_it() -> None:
    path = Path(knows_red=True)
    assert path.report(0, 0, 4).repeats == 1
    assert path.report(*[0] * int(HOLD_S - 1)).repeats == 1
    assert path.report(*[0] * 10).repeats == 0


def test_a_lost_packet_now_and_then_is_no_loss_to_speak_of() -> None:
    path = Path(knows_red=True)
    for _ in range(20):
        assert path.report(0.4, 0, 0).repeats == 0


def test_heavy_loss_is_repeated_twice_and_then_once_again() -> None:
    path = Path(knows_red=True)
    assert path.report(*[12.0] * 5).repeats == 2
    assert path.report(*[3.0] * 30).repeats == 1


def test_voip_repeats_where_fec_is_not_enough() -> None:
    path = Path(Profile.VOIP, knows_red=True)
    assert path.report(*[5.0] * 20).repeats == 0
    assert path.report(*[12.0] * 5).repeats == 1


def test_fec_is_told_of_the_loss_within_bounds() -> None:
    path = Path(knows_red=False)
    least, most = FEC_PERCENT
    assert path.report(0).expected_loss_percent == least
    assert path.report(*[12.0] * 20).expected_loss_percent == 12
    assert path.report(*[60.0] * 20).expected_loss_percent == most


@pytest.mark.parametrize("seed", range(5))
def test_random_loss_is_repaired_and_costs_no_bits(seed: int) -> None:
    path, rng = Path(knows_red=True), random.Random(seed)
    losses = [2.0 * sum(rng.random() < 0.1 for _ in range(50)) for _ in range(120)]
    tuning = path.report(*losses, rtt_s=0.05)
    assert tuning.repeats >= 1
    assert tuning.bitrate_bps == path.nominal_bps


def test_an_estimate_below_what_is_sent_takes_the_repeats_before_the_voice() -> None:
    path = Path(knows_red=True)
    path.report(*[12.0] * 5)
    path.estimate(wire_bps(path.nominal_bps, 1))
    assert path.report(12.0)[1:3] == (path.nominal_bps, 1)
    path.estimate(wire_bps(path.nominal_bps, 0))
    assert path.report(12.0)[1:3] == (path.nominal_bps, 0)
    path.estimate(wire_bps(40_000, 0))
    assert path.report(12.0)[1:3] == (40_000, 0)


@pytest.mark.parametrize("knows_red", [True, False])
@pytest.mark.parametrize("estimate_bps", [0, 1, 30_000])
def test_no_estimate_takes_more_than_the_voice_can_give(
    knows_red: bool, estimate_bps: int
) -> None:
    path = Path(knows_red=knows_red)
    path.estimate(estimate_bps)
    assert path.report(0.0).bitrate_bps == path.plan.least_bps


def test_room_comes_back_slowly_once_the_estimate_has_risen() -> None:
    path = Path(knows_red=True)
    path.estimate(60_000)
    starved = path.report(0.0).bitrate_bps
    path.estimate(1_000_000)
    assert path.adaptation.tuning(path.now).bitrate_bps == starved
    later = path.report(*[0.0] * 5).bitrate_bps
    assert starved < later < path.nominal_bps
    assert path.report(*[0.0] * 20).bitrate_bps == path.nominal_bps


def test_an_estimate_that_is_not_renewed_holds_for_a_while_only() -> None:
    path = Path(knows_red=True)
    path.estimate(60_000)
    starved = path.report(*[0.0] * int(ESTIMATE_S)).bitrate_bps
    assert starved < path.nominal_bps
    path.estimate(60_000)
    assert path.report(*[0.0] * int(ESTIMATE_S)).bitrate_bps == starved
    assert path.report(*[0.0] * 20).bitrate_bps == path.nominal_bps


def test_few_packets_are_not_judged_however_many_of_them_are_lost() -> None:
    path = Path(Profile.VOIP, knows_red=True)
    plenty = path.report(0.0)
    assert path.report(*[34.0] * 6, packets=3) == plenty
    assert path.adaptation.loss_percent == 0.0


def test_what_reports_tell_of_a_few_packets_each_adds_up() -> None:
    path, few = Path(Profile.VOIP, knows_red=True), JUDGED_PACKETS // 4
    plenty = path.report(0.0)
    assert path.report(40.0, 0.0, 0.0, packets=few) == plenty
    assert path.report(0.0, packets=few).expected_loss_percent == 5
    assert path.adaptation.loss_percent == pytest.approx(5.0, abs=0.1)
    assert path.report(*[40.0] * 8, packets=few).bitrate_bps < plenty.bitrate_bps


def test_reports_of_nothing_sent_leave_what_is_known_of_the_path() -> None:
    path = Path(knows_red=True)
    assert path.report(*[0.0] * 5, packets=0).repeats == 1
    path.report(12.0)
    path.report(*[0.0] * 5, packets=0)
    assert path.adaptation.loss_percent == pytest.approx(6.0, abs=0.1)
    assert path.report(12.0).repeats == 2


def test_a_report_that_comes_late_tells_nothing_new() -> None:
    path = Path(knows_red=True)
    path.report(*[0.0] * 5)
    assert path.report(12.0, packets=-50).repeats == 0


def test_loss_with_a_growing_round_trip_lowers_the_bitrate_to_its_floor() -> None:
    path = Path(knows_red=True)
    path.report(0, 0, rtt_s=0.04)
    first = path.report(15.0, rtt_s=0.3)
    assert first.bitrate_bps < path.nominal_bps
    assert first.repeats == 0
    assert path.report(*[15.0] * 20, rtt_s=0.3).bitrate_bps == path.plan.least_bps
    assert path.report(*[0.0] * 60, rtt_s=0.05).bitrate_bps == path.nominal_bps


def test_a_quarter_lost_is_congestion_however_long_the_round_trip() -> None:
    path = Path(knows_red=False)
    assert path.report(40.0, 40.0).bitrate_bps < path.nominal_bps


def test_an_eased_encoder_does_what_it_did_at_the_least_cpu() -> None:
    path = Path(Profile.QUALITY, knows_red=False)
    planned = path.report(0.0)
    path.adaptation.is_eased = True
    assert path.report(0.0) == planned._replace(complexity=0)
    path.adaptation.is_eased = False
    assert path.report(0.0) == planned
