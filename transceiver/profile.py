"""How the model's voice is encoded for one caller, and protected on its path. Pure.

An encoder's application cannot be changed once it has begun, so a call has one plan to
its end: chosen by the setting, and by whether the caller's offer has RED (RFC 2198),
which protects a voice by bits where in-band FEC takes four fifths of the CPU.

    setting      offer with RED                    offer without
    auto         low delay, RED while there is     VOIP at complexity 0, FEC
                 loss
    low_delay    as auto                           low delay, not protected
    voip         VOIP at complexity 0, FEC, and    as auto
                 RED where FEC is not enough
    quality      VOIP at complexity 5, FEC         the same

What changes in the course of the call is in `adaptation`. RED that a caller sends is
understood whatever the plan.
"""

import enum
from collections.abc import Mapping
from typing import NamedTuple

from codec.opus import VOICE, Application, Encoding


class Profile(enum.Enum):
    """The setting."""

    AUTO = "auto"
    LOW_DELAY = "low_delay"
    VOIP = "voip"
    QUALITY = "quality"


class Plan(NamedTuple):
    """What is done for one caller.

    Attributes:
        encoding: To begin with; bitrate and complexity may be lowered.
        least_bps: Bitrate that is not lowered further.
        red_percents: Loss from which on one repeat is sent as RED, two, ...
        easing_saves: Share of a call's CPU that its encoder takes less at complexity 0.
    """

    encoding: Encoding
    least_bps: int
    red_percents: tuple[float, ...] = ()
    easing_saves: float = 0.0


LOSS_PERCENT = 1.0
"""Any loss to speak of: two packets of a report's 50 to 250."""

BURSTS_PERCENT = 8.0
"""Loss from which on losing neighbours is common: at random each 150th packet."""

_PLANS: Mapping[Profile, Plan] = {
    Profile.LOW_DELAY: Plan(
        Encoding(Application.LOW_DELAY, 80_000, complexity=1, has_fec=False),
        least_bps=32_000,
        red_percents=(LOSS_PERCENT, BURSTS_PERCENT),
        easing_saves=0.05,  # 4 us of 30 a frame: 0.04 of a call, 0.07 of its media path
    ),
    Profile.VOIP: Plan(
        VOICE._replace(bitrate_bps=48_000, complexity=0),
        least_bps=16_000,
        red_percents=(BURSTS_PERCENT,),
    ),
    Profile.QUALITY: Plan(
        VOICE,
        least_bps=16_000,
        easing_saves=0.45,  # 104 us of 162: 0.37 of a call, 0.53 of its media path
    ),
}


def plan(profile: Profile, *, knows_red: bool) -> Plan:
    """Return what is done for a caller whose offer has RED, or has not."""
    if profile is Profile.AUTO:
        profile = Profile.LOW_DELAY if knows_red else Profile.VOIP
    chosen = _PLANS[profile]
    return chosen if knows_red else chosen._replace(red_percents=())


def easing_saves(profile: Profile) -> float:
    """Return the share of the calls' CPU that easing saves at most.

    Under `auto` calls differ: all are taken for those that save the most. Who takes too
    much for saved is eased a little longer, who takes too little goes up and down.
    """
    return max(plan(profile, knows_red=knows).easing_saves for knows in (True, False))
