"""A leg whose link carries G.711."""

import itertools

import pytest

from codec.g711 import Narrow, Wide
from proto.frames import FRAME_SAMPLES, DownFrame
from proto.payload import Payload
from tests.transceiver.leg import FRAME_S, FRAME_TICKS, Caller, Leg, heard, level, voice

AUDIBLE = 1000.0

laws = pytest.mark.parametrize("law", [Payload.PCMU, Payload.PCMA])


@laws
def test_a_caller_is_heard_narrow_and_whole_though_packets_are_lost(
    law: Payload,
) -> None:
    leg = Leg(law)
    caller = Caller(leg)
    for number in range(50):
        datagram = caller.speak()
        if number not in (20, 21, 30):
            leg.receive(datagram)
        leg.run(FRAME_S)
    leg.run(0.1)
    frames = [frame for _, frame in leg.up]
    for one, following in itertools.pairwise(frames):
        end = one.position_samples + 3 * len(one.payload)
        assert end == following.position_samples
    assert frames[-1].position_samples == 49 * FRAME_SAMPLES
    wide = Wide(law)
    assert level(b"".join(wide.decode(frame.payload) for frame in frames)) > AUDIBLE


@laws
def test_the_model_is_heard_and_falls_silent_when_flushed(law: Payload) -> None:
    leg = Leg(law)
    narrow = Narrow(law)
    for i in range(50):
        payload = narrow.encode(voice(i * FRAME_SAMPLES, FRAME_SAMPLES))
        leg.play(DownFrame(1, i * FRAME_SAMPLES, 100 + 20 * i, payload))
    leg.run(0.1 + 9.5 * FRAME_S)
    assert level(heard(leg.sent)) > AUDIBLE
    assert leg.media.flush(1, leg.loop.now) == (1, 10 * FRAME_SAMPLES)
    leg.run(1.0)
    assert len(leg.sent) == 18
    start = leg.sent[0].timestamp
    assert [(one.timestamp - start) % 2**32 for one in leg.sent] == [
        i * FRAME_TICKS for i in range(18)
    ]
    assert level(heard(leg.sent)[-960:]) < 30
