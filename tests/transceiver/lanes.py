"""Legs with lanes and without, and what they have to show alike."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from tests.transceiver.script import Scene, Script
from transceiver import laneless, media
from transceiver.profile import Plan, Profile

try:
    from transceiver.lane import DownLane, UpLane
except ImportError:  # not compiled
    from transceiver.laneless import DownLane, UpLane

LANES: Final = UpLane, DownLane
LANELESS: Final = laneless.UpLane, laneless.DownLane
"""Both are the same where no lane was compiled."""

MISSING: Final = object()


def use(way: tuple[Any, Any], patch: pytest.MonkeyPatch) -> None:
    """Have what begins from now on go one way: `LANES` or `LANELESS`."""
    for name, lane in zip(("UpLane", "DownLane"), way, strict=True):
        patch.setattr(media, name, lane)


@contextmanager
def without_lanes() -> Iterator[None]:
    """Have legs begin without lanes."""
    with pytest.MonkeyPatch.context() as patch:
        use(LANELESS, patch)
        yield


def compare(
    script: Script, planned: Profile | Plan = Profile.AUTO, *, knows_red: bool = True
) -> Scene:
    """Play a script with lanes and without; return the one with them."""
    one = _scene(planned, knows_red=knows_red)
    with without_lanes():
        other = _scene(planned, knows_red=knows_red)
    for scene in (one, other):
        scene.play(script)
    for ours, theirs in zip(one.seen(), other.seen(), strict=True):
        for a, b in itertools.zip_longest(ours, theirs, fillvalue=MISSING):
            assert a == b, f"{a} with lanes, {b} without"
    assert other.leg.passed_up == other.leg.passed_down == 0
    return one


def _scene(planned: Profile | Plan, *, knows_red: bool) -> Scene:
    if isinstance(planned, Profile):
        return Scene(planned, knows_red=knows_red)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(media, "plan", lambda profile, knows_red: planned)
        return Scene(knows_red=knows_red)
