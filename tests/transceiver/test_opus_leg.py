"""A leg whose link carries Opus: nothing is decoded or encoded at the edge."""

import pytest

from codec.opus import Decoder, Encoder, packet_samples
from proto.frames import FRAME_SAMPLES, DownFrame
from proto.payload import MAX_PAYLOAD_BYTES, Payload
from tests.transceiver.leg import FRAME_S, FRAME_TICKS, Caller, Leg, heard, level, voice

AUDIBLE = 1000.0


@pytest.fixture
def leg() -> Leg:
    return Leg(Payload.OPUS)


def spoken(count: int) -> list[bytes]:
    encoder = Encoder()
    return [
        encoder.encode(voice(i * FRAME_SAMPLES, FRAME_SAMPLES)) for i in range(count)
    ]


def say(leg: Leg, caller: Caller, payloads: list[bytes], *lost: int) -> None:
    for number, payload in enumerate(payloads):
        datagram = caller.packet(payload)
        if number not in lost:
            leg.receive(datagram)
        leg.run(FRAME_S)
    leg.run(0.1)


def play(leg: Leg, talkspurt: int, payloads: list[bytes], lead_ms: int = 100) -> None:
    for i, payload in enumerate(payloads):
        leg.play(DownFrame(talkspurt, i * FRAME_SAMPLES, lead_ms + 20 * i, payload))


def test_packets_pass_up_as_they_came_where_they_were_spoken(leg: Leg) -> None:
    payloads = spoken(20)
    say(leg, Caller(leg), payloads)
    frames = [frame for _, frame in leg.up]
    assert [frame.payload for frame in frames] == payloads
    assert [frame.position_samples for frame in frames] == [
        i * FRAME_SAMPLES for i in range(20)
    ]


def test_of_what_was_lost_nothing_is_sent_but_the_jump(leg: Leg) -> None:
    payloads = spoken(20)
    say(leg, Caller(leg), payloads, 5, 6, 12)
    kept = [i for i in range(20) if i not in (5, 6, 12)]
    assert [frame.payload for _, frame in leg.up] == [payloads[i] for i in kept]
    assert [frame.position_samples for _, frame in leg.up] == [
        i * FRAME_SAMPLES for i in kept
    ]
    assert leg.media.counts()["lost_packets"] == 3


def test_silence_that_was_not_sent_is_a_jump(leg: Leg) -> None:
    caller = Caller(leg)
    say(leg, caller, spoken(3))
    caller.timestamp += 20 * FRAME_TICKS
    leg.run(20 * FRAME_S)
    say(leg, caller, spoken(1))
    assert leg.up[-1][1].position_samples == 23 * FRAME_SAMPLES


@pytest.mark.parametrize(
    "payload", [b"\x03", bytes(MAX_PAYLOAD_BYTES + 1), b"\x1f\x3f"]
)
def test_what_is_no_packet_or_too_long_is_counted_and_dropped(
    leg: Leg, payload: bytes
) -> None:
    say(leg, Caller(leg), [*spoken(3), payload, *spoken(1)])
    assert [frame.position_samples // FRAME_SAMPLES for _, frame in leg.up] == [
        *(0, 1, 2, 4)
    ]
    assert leg.media.counts()["corrupt_packets"] == 1


def test_the_models_packets_reach_the_caller_as_they_came(leg: Leg) -> None:
    payloads = spoken(20)
    play(leg, 1, payloads)
    leg.run(1.0)
    assert [packet.payload for packet in leg.sent] == payloads
    assert [packet.marker for packet in leg.sent] == [True] + [False] * 19
    start = leg.sent[0].timestamp
    assert [(one.timestamp - start) % 2**32 for one in leg.sent] == [
        i * FRAME_TICKS for i in range(20)
    ]
    assert level(heard(leg.sent)) > AUDIBLE


def test_heard_and_flushed_are_counted_in_samples_of_24_khz(leg: Leg) -> None:
    play(leg, 1, spoken(50))
    leg.run(0.1 + 9.5 * FRAME_S)
    caller = Caller(leg)
    leg.receive(caller.packet(spoken(1)[0]))
    (_, frame), *_ = leg.up
    assert frame.heard_talkspurt == 1
    assert frame.heard_samples == pytest.approx(9.5 * FRAME_SAMPLES, abs=48)
    assert leg.media.flush(1, leg.loop.now) == (1, 10 * FRAME_SAMPLES)


def test_a_flush_ends_in_a_hush_that_the_caller_hears_as_silence(leg: Leg) -> None:
    play(leg, 1, spoken(50))
    leg.run(0.1 + 9.5 * FRAME_S)
    leg.media.flush(1, leg.loop.now)
    leg.run(1.0)
    assert len(leg.sent) == 18
    decoder = Decoder()
    pcm = [decoder.decode(packet.payload) for packet in leg.sent]
    assert level(pcm[9]) > AUDIBLE
    assert level(pcm[-1]) < 30
    assert {packet_samples(one.payload) for one in leg.sent} == {FRAME_SAMPLES}


@pytest.mark.parametrize("payload", [b"\x03", b"\x1f\x3f"])
def test_what_a_relay_sends_that_is_no_packet_never_reaches_the_caller(
    leg: Leg, payload: bytes
) -> None:
    play(leg, 1, [payload])
    leg.run(0.5)
    assert leg.sent == []
    assert leg.media.counts()["unsent_frames"] == 1
