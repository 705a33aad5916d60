"""A strained edge spends less on voices, and takes no more calls than it can."""

import asyncio
from typing import cast

import pytest

from proto.frames import FRAME_SAMPLES, DownFrame
from tests.transceiver.leg import FRAME_S, Leg, voice
from transceiver.admission import Admission, Full
from transceiver.call import CallRequest
from transceiver.calls import Calls
from transceiver.metrics import Metrics
from transceiver.profile import Profile
from transceiver.strain import Level
from transceiver.uplink import Uplink
from transceiver.webrtc.ice import UdpPort


def said(leg: Leg, talkspurt: int) -> list[bytes]:
    """Have half a second said, and return its packets."""
    before = len(leg.sent)
    for i in range(25):
        start = i * FRAME_SAMPLES
        leg.play(DownFrame(talkspurt, start, 0, voice(start, FRAME_SAMPLES)))
        leg.run(FRAME_S)
    return [packet.payload for packet in leg.sent[before:]]


@pytest.mark.usefixtures("each_way")
def test_an_eased_voice_is_encoded_otherwise_until_it_is_not_eased() -> None:
    planned, eased = (Leg(profile=Profile.QUALITY) for _ in range(2))
    eased.media.ease(eased=True)
    assert len(said(planned, 1)) == len(said(eased, 1)) == 25
    assert said(planned, 2) != said(eased, 2)
    eased.media.ease(eased=False)
    assert said(planned, 3) == said(eased, 3)


@pytest.mark.asyncio
async def test_calls_are_refused_at_the_highest_level_only() -> None:
    admission = Admission(max_calls=1)
    nowhere = cast(Uplink, None)  # who is refused is not dialled for
    calls = Calls(cast(UdpPort, None), nowhere, Metrics(dict), admission)
    calls.relieve(Level.FULL)
    with pytest.raises(Full, match="overloaded"):
        await calls.open(CallRequest("", "a"))
    for level in (Level.EASED, Level.NORMAL):
        calls.relieve(level)
        with admission.slot("a"):
            await asyncio.sleep(0)
