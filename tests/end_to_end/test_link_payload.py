"""Calls over links that carry what the edge was told to ask for."""

import numpy as np
import pytest
from numpy.typing import NDArray

from proto.frames import SAMPLE_RATE_HZ as RATE_HZ
from tests.support.caller import calling
from tests.support.ear import find
from tests.support.interrupting import SMOOTH, Road, hold_calls, plans
from tests.support.realtime_server import running_server
from tests.support.services import Stack, running_stack
from tests.support.sound import Pcm, at_24_khz, at_48_khz, babble, lag_samples

pytestmark = pytest.mark.interop

PAYLOADS = ["pcm", "opus", "pcmu", "pcma"]
SPOKEN_S, WINDOW_S, ASIDE_S = 4.0, 0.5, 1.0
ALIKE = 0.8
"""Correlation of the envelope of what came back with that of what was said. Of another
voice it is 0.5 at most, of this one with every other frame silent 0.3."""

ALLOWED_GONE = 3
"""A machine with other things to do may stall one of the services once."""

FRAME_MS, OFF_MS = 20, 60
ROUGH = Road(delay_s=0.04, jitter_s=0.02, loss=0.03)


def loudness(pcm: Pcm) -> NDArray[np.float64]:
    """Root mean square of each 10 ms."""
    grain = RATE_HZ // 100
    pieces = pcm[: len(pcm) // grain * grain].reshape(-1, grain).astype(float)
    return np.asarray(np.sqrt(np.mean(pieces**2, axis=1)))


def place(said: Pcm, heard: Pcm) -> int:
    """Return at which sample of what was heard begins what was said."""
    return max(0, lag_samples(said, heard))


def followed(said: Pcm, heard: Pcm) -> Pcm:
    """Return what was heard of what was said, as long as that.

    Each half second is looked for near its place: frames that a busy machine brings too
    late are left out, and the rest moves up.
    """
    size, aside = round(WINDOW_S * RATE_HZ), round(ASIDE_S * RATE_HZ)
    lag = place(said, heard)
    found: list[Pcm] = []
    for start in range(0, len(said), size):
        near = heard[max(0, lag + start - aside) : lag + start + size + aside]
        at = find(said[start : start + size], near)
        found.append(near[at : at + size])
    return np.concatenate(found)


def carried_as(payload: str, stack: Stack) -> bool:
    """Tell whether the relay's sessions, all of them closed, were carried so."""
    closed = [line for line in stack.relay.lines if "session closed" in line]
    return bool(closed) and all(f" payload={payload} " in line for line in closed)


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.asyncio
async def test_a_voice_comes_back_whole_and_recognisable(payload: str) -> None:
    said = babble(SPOKEN_S, seed=3)
    needed = len(said) + round(ASIDE_S * RATE_HZ)
    async with (
        running_stack("echo", TANDEM_LINK_PAYLOAD=payload) as stack,
        calling(stack.url) as caller,
    ):
        await caller.wait_for("session.created")
        caller.microphone.say(at_48_khz(said))
        least = len(caller.heard) + 2 * needed
        await caller.wait_until(
            lambda: (
                len(caller.heard) >= least
                and len(heard := at_24_khz(caller.heard)) >= place(said, heard) + needed
            ),
            "whole echo",
        )
        heard = at_24_khz(caller.heard)
    assert carried_as(payload, stack)
    one, two = loudness(said), loudness(followed(said, heard))
    assert np.corrcoef(one, two)[0, 1] > ALIKE
    span = round(WINDOW_S * 100)
    gone = [
        start
        for start in range(span, len(two) - span, span // 5)
        if two[start : start + 10].max() < 0.1 * one[start : start + 10].max()
    ]
    assert len(gone) <= ALLOWED_GONE  # of what was said, 100 ms each are silence


@pytest.mark.parametrize("road", [SMOOTH, ROUGH], ids=["smooth", "rough"])
@pytest.mark.asyncio
async def test_items_are_truncated_where_the_caller_ceased_to_hear(road: Road) -> None:
    async with (
        running_server() as server,
        running_stack(
            server.url, TANDEM_UPSTREAM_KEY=server.key, TANDEM_LINK_PAYLOAD="opus"
        ) as stack,
    ):
        drawn = plans(6, 11)
        found = await hold_calls(stack, server, [drawn[:3], drawn[3:]], road, 11)
    assert carried_as("opus", stack)
    assert len(found) == len(drawn)
    assert [one for one in found if abs(one.off_ms) > OFF_MS] == []
    if not road.loss:
        assert [one for one in found if one.off_ms > FRAME_MS] == []
