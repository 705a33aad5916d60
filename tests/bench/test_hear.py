"""What the ear of the generator finds in packets whose delay is known."""

import functools
import itertools

import numpy as np
import pytest

from bench.load import hear, red, voice
from bench.load.line import Log
from bench.load.voice import Voice
from codec.opus import Decoder, Encoder
from tests.support.sound import babble
from transceiver import rtp

FRAME_NS = 20_000_000
LOOK_AHEAD_MS = 6.5
"""Of the encoder through which the echo goes once more."""


@functools.cache
def spoken() -> Voice:
    return voice.encode(babble(8, seed=5))


def echoed(
    log: Log, number: int, payload: bytes, late_ms: float, *, kind: int = 96
) -> None:
    """Note one packet of the echo."""
    header = rtp.build_header(kind, number, number * 960, 7, marker=False)
    log.packets.append(header + payload)
    log.sequences.append(number)
    log.timestamps.append(number * 960)
    log.arrived_ns.append(number * FRAME_NS + round(late_ms * 1e6))


def said(log: Log, numbers: range) -> None:
    """Note what was sent."""
    for number in numbers:
        log.sent_ns.append(number * FRAME_NS)
        log.sent_frames.append(number % len(spoken().payloads))


def transcoded(numbers: range) -> list[bytes]:
    """Return what an echo that decodes and encodes sends back."""
    decoder, encoder = Decoder(), Encoder()
    payloads = spoken().payloads
    return [
        encoder.encode(decoder.decode(payloads[n % len(payloads)])) for n in numbers
    ]


@pytest.mark.parametrize("late_ms", [2.0, 37.0, 900.0])
def test_the_delay_of_an_echo_is_found_with_its_encoders_look_ahead(
    late_ms: float,
) -> None:
    log, numbers = Log(), range(400)
    said(log, numbers)
    for number, payload in zip(numbers, transcoded(numbers), strict=True):
        echoed(log, number, payload, late_ms)
    found = hear.delays(log, spoken())[:, 1]
    assert len(found) > 200
    assert np.median(found) == pytest.approx(late_ms + LOOK_AHEAD_MS, abs=0.5)
    assert np.percentile(found, 99) < late_ms + LOOK_AHEAD_MS + 2


def test_what_the_far_end_waits_on_purpose_is_no_part_of_the_delay() -> None:
    log, numbers = Log(), range(400)
    said(log, numbers)
    for number, payload in zip(numbers, transcoded(numbers), strict=True):
        echoed(log, number, payload, 4_020.0)
    assert len(hear.delays(log, spoken())) == 0
    found = hear.delays(log, spoken(), 4_000_000_000)[:, 1]
    assert np.median(found) == pytest.approx(20.0 + LOOK_AHEAD_MS, abs=0.5)


def test_a_delay_that_grows_in_mid_call_is_followed() -> None:
    log, numbers = Log(), range(400)
    said(log, numbers)
    for number, payload in zip(numbers, transcoded(numbers), strict=True):
        echoed(log, number, payload, 20.0 if number < 200 else 220.0)
    at_s, found = hear.delays(log, spoken()).T
    early = found[at_s < 3.9]
    late = found[at_s > 4.7]
    assert np.median(early) == pytest.approx(26.5, abs=0.5)
    assert np.median(late) == pytest.approx(226.5, abs=0.5)


def test_an_echo_of_the_same_packets_in_red_has_no_look_ahead() -> None:
    log, numbers = Log(), range(200)
    said(log, numbers)
    for number in numbers:
        payload = spoken().repeated[number]
        echoed(log, number, payload, 5.0, kind=red.RED_TYPE)
    assert np.median(hear.delays(log, spoken())[:, 1]) == pytest.approx(5.0, abs=0.1)


def test_pauses_between_turns_do_not_count_as_delay() -> None:
    log = Log()
    spurts = [range(100), range(200, 300), range(400, 500)]
    for numbers in spurts:
        said(log, numbers)
    speaking = set(itertools.chain(*spurts))
    decoder, encoder = Decoder(), Encoder()
    for number in range(500):
        is_speech = number in speaking
        payload = spoken().payloads[number % 400] if is_speech else spoken().comfort
        echoed(log, number, encoder.encode(decoder.decode(payload)), 10.0)
    found = hear.delays(log, spoken())[:, 1]
    assert len(found) > 100
    assert np.percentile(found, 99) < 20


def test_another_voice_is_not_taken_for_an_echo() -> None:
    log, numbers = Log(), range(300)
    said(log, numbers)
    stranger = voice.encode(babble(8, seed=6))
    for number in numbers:
        echoed(log, number, stranger.payloads[number], 10.0)
    assert len(hear.delays(log, spoken())) == 0


def test_what_is_no_opus_is_passed_over() -> None:
    log, numbers = Log(), range(100)
    said(log, numbers)
    for number in numbers:
        echoed(log, number, (b"", b"\xff", b"\xff\xff\xff")[number % 3], 10.0)
    assert len(hear.delays(log, spoken())) == 0


def test_a_call_that_heard_nothing_has_no_figures() -> None:
    log = Log()
    assert len(hear.delays(log, spoken())) == 0
    flow = hear.flow(log, 0, 1 << 62)
    assert (flow.received, flow.expected, len(flow.waits)) == (0, 0, 0)


def test_losses_doubles_and_gaps_are_counted() -> None:
    log = Log()
    for number in (0, 1, 2, 5, 6, 6, 7):
        echoed(log, number, b"", 0.0)
    flow = hear.flow(log, 0, 1 << 62)
    assert (flow.received, flow.expected) == (6, 8)
    assert flow.waits[:, 0] == pytest.approx([0.02, 0.04, 0.1, 0.12, 0.14])
    assert flow.waits[:, 1] == pytest.approx([20, 20, 60, 20, 20])


def test_silence_between_talkspurts_is_no_gap() -> None:
    log = Log()
    for number in (0, 1, 2, 60, 61):
        echoed(log, number, b"", 0.0)
    assert hear.flow(log, 0, 1 << 62).waits[:, 1] == pytest.approx([20, 20, 20])


def answered(log: Log, *spurts: range) -> None:
    """Say each range of frames, and have it come back."""
    for numbers in spurts:
        said(log, numbers)
        for number in numbers:
            echoed(log, number, b"", 5.0)


def waits(log: Log) -> tuple[int, float]:
    """Return the gaps of an echo 5 ms late, and the longest wait."""
    waits_ms = hear.flow(log, 0, 1 << 62, 5_000_000).waits[:, 1]
    return int((waits_ms > hear.GAP_MS).sum()), float(waits_ms.max())


def test_a_pause_of_the_caller_is_no_gap_in_its_echo() -> None:
    log = Log()
    answered(log, range(10), range(14, 30), range(40, 60))
    gaps, longest_ms = waits(log)
    assert gaps == 0
    assert longest_ms == pytest.approx(20.0, abs=0.01)


def test_packets_that_tell_of_silence_make_no_gaps_around_them() -> None:
    log = Log()
    answered(log, range(10))
    for number in (13, 33):  # 80 ms after the last word, 140 ms before the next
        echoed(log, number, b"", 5.0)
    answered(log, range(40, 60))
    assert waits(log)[0] == 0


def test_speech_that_comes_late_after_a_pause_is_a_gap() -> None:
    log = Log()
    answered(log, range(10))
    said(log, range(40, 60))
    for number in range(43, 60):
        echoed(log, number, b"", 5.0)
    gaps, longest_ms = waits(log)
    assert gaps == 1
    assert longest_ms == pytest.approx(80.0, abs=0.01)


@pytest.mark.parametrize("frames", [2, 8, 30])
def test_a_hole_in_speech_is_a_gap_however_long(frames: int) -> None:
    log = Log()
    said(log, range(60))
    for number in (*range(10), *range(10 + frames, 60)):
        echoed(log, number, b"", 5.0)
    gaps, longest_ms = waits(log)
    assert gaps == 1
    assert longest_ms == pytest.approx(20.0 * (frames + 1), abs=0.01)


def test_frames_of_silence_are_counted_with_those_of_speech() -> None:
    log = Log()
    said(log, range(10))
    log.silent_ns.append(20 * FRAME_NS)
    assert hear.sent_between(log, 0, 1 << 62) == 11
    assert hear.sent_between(log, 0, 1 << 62, silence=False) == 10


def test_only_what_came_within_the_time_counts() -> None:
    log = Log()
    said(log, range(100))
    for number in range(100):
        echoed(log, number, b"", 5.0)
    assert hear.flow(log, 10 * FRAME_NS, 20 * FRAME_NS).received == 10
    assert hear.sent_between(log, 10 * FRAME_NS, 20 * FRAME_NS) == 10
