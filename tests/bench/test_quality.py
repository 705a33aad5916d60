"""The pure parts of the measurement of speech quality: no model, no clock."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from bench.quality import caller, pieces
from bench.quality.align import aligned, delay_samples
from bench.quality.caller import FRAME_TICKS, Packet
from bench.quality.edge import OPUS_TYPE, RED_TYPE, Edge
from bench.quality.result import CLAIMS, WORD_ERROR, Result, margins
from bench.quality.sentences import Speech
from bench.quality.table import markdown
from bench.quality.trace import SPARED_PACKETS, WEATHERS, Weather, lost
from bench.quality.words import errors, words
from codec.opus import VOICE, Encoder
from proto.frames import FRAME_BYTES, FRAME_SAMPLES
from tests.support.sound import babble
from transceiver import red

BURSTS = Weather(10, in_bursts=True)


BABBLE = babble(0.6, seed=3)


def speech(frames: int) -> Speech:
    pcm = BABBLE[: frames * FRAME_SAMPLES]
    middle = frames // 2 * FRAME_SAMPLES
    return Speech(pcm, (0, middle, len(pcm)))


def repeated(payloads: list[bytes], repeats: int) -> list[Packet]:
    packets = []
    for number, payload in enumerate(payloads):
        before = [
            (earlier * FRAME_TICKS, payloads[earlier])
            for earlier in reversed(range(max(0, number - repeats), number))
        ]
        data = red.build(OPUS_TYPE, payload, number * FRAME_TICKS, before)
        packets.append(Packet(number, True, data))
    return packets


@pytest.mark.parametrize("weather", WEATHERS, ids=str)
def test_a_path_loses_as_much_as_it_is_said_to(weather: Weather) -> None:
    share = sum(lost(weather, 20_000)) / 20_000
    assert share * 100 == pytest.approx(weather.percent, rel=0.1)


@pytest.mark.parametrize("weather", WEATHERS, ids=str)
def test_everybody_loses_the_same_packets_and_none_at_the_start(
    weather: Weather,
) -> None:
    flags = lost(weather, 500)
    assert flags == lost(weather, 500)
    assert not any(flags[:SPARED_PACKETS])


def test_bursts_are_of_two_or_three_packets() -> None:
    flags = lost(BURSTS, 5_000)
    runs = "".join("x" if flag else " " for flag in flags).split()
    assert {len(run) for run in runs[:-1]} == {2, 3}


def test_a_frame_is_taken_from_the_packet_that_repeats_it() -> None:
    payloads = [bytes((0b1111_1000, number)) for number in range(6)]  # CELT, 20 ms
    flags = [False, True, False, True, True, False]
    assert caller.collected(repeated(payloads, 1), flags, OPUS_TYPE) == [
        payloads[0],
        payloads[1],
        payloads[2],
        None,
        payloads[4],
        payloads[5],
    ]
    assert caller.collected(repeated(payloads, 2), flags, OPUS_TYPE) == payloads


def test_a_packet_without_repeats_is_only_itself() -> None:
    packets = [Packet(0, False, b"a"), Packet(1, False, b"b")]
    assert caller.collected(packets, [True, False], OPUS_TYPE) == [None, b"b"]


def test_a_lost_frame_is_heard_and_takes_its_time() -> None:
    encoder = Encoder(VOICE)
    encoder.set_expected_loss(20)
    payloads: list[bytes | None] = [encoder.encode(pcm) for pcm in speech(30).frames]
    whole = caller.played(payloads)
    payloads[20] = None
    patched = caller.played(payloads)
    assert len(whole) == len(patched) == 30 * FRAME_BYTES
    frame = np.frombuffer(patched, np.int16)[20 * FRAME_SAMPLES : 21 * FRAME_SAMPLES]
    assert np.abs(frame).max() > 500


@given(st.integers(0, 700))
def test_a_delay_is_found_and_taken_away(delay: int) -> None:
    said = speech(20).pcm
    heard = np.pad(said, (delay, 0))
    assert delay_samples(said, heard) == delay
    np.testing.assert_array_equal(aligned(said, heard), said)


def test_what_is_too_short_is_filled_with_silence() -> None:
    said = speech(10).pcm
    assert len(aligned(said, said[:1000])) == len(said)


def test_pieces_are_put_in_their_place_or_end_to_end() -> None:
    said = speech(10)
    frames = [
        (number * FRAME_SAMPLES, pcm)
        for number, pcm in enumerate(said.frames)
        if number != 2
    ]
    first, second = pieces.placed(frames, said)
    assert not first[2 * FRAME_SAMPLES : 3 * FRAME_SAMPLES].any()
    np.testing.assert_array_equal(
        first[3 * FRAME_SAMPLES :], said.part(said.pcm, 0)[3 * FRAME_SAMPLES :]
    )
    np.testing.assert_array_equal(second, said.part(said.pcm, 1))
    joined, _ = pieces.joined(frames, said)
    assert len(joined) == len(first) - FRAME_SAMPLES


def test_the_edge_sends_repeats_while_reports_tell_of_loss() -> None:
    frames = speech(20).frames
    clear = Edge(knows_red=True).say(frames, Weather(0))
    rough = Edge(knows_red=True).say(frames, Weather(5))
    assert [packet.frame for packet in clear] == list(range(20))
    assert not any(packet.is_red for packet in clear)
    assert all(packet.is_red for packet in rough[2:])


def test_the_edge_hears_what_a_red_packet_repeats() -> None:
    encoder = Encoder(VOICE)
    payloads = [encoder.encode(pcm) for pcm in speech(20).frames]
    packets: list[Packet | None] = [*repeated(payloads, 1)]
    whole = Edge(knows_red=True).hear(packets)
    packets[10] = None
    assert Edge(knows_red=True).hear(packets) == whole


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert words("Don't stop, please.") == ["don't", "stop", "please"]


@pytest.mark.parametrize(
    ("heard", "wrong"),
    [("a b c", 0), ("a x c", 1), ("a c", 1), ("a b b c", 1), ("", 3), ("b c d", 2)],
)
def test_word_errors_are_the_fewest_changes(heard: str, wrong: int) -> None:
    assert errors(["a", "b", "c"], heard.split()) == wrong


def test_a_margin_is_positive_when_less_is_misheard() -> None:
    def result(direction: str, name: str, wrong: float, score: float) -> Result:
        scores = {WORD_ERROR: wrong, "ESTOI": score}
        return Result(direction, name, "codec", "5 %", 20, 60, scores)

    results = [
        result(way, name, wrong, score)
        for way, better, worse in CLAIMS
        for name, wrong, score in ((better, 1.0, 0.9), (worse, 3.0, 0.7))
    ]
    lines = margins(results)
    assert lines[0] == f"{CLAIMS[0][0]}: {CLAIMS[0][1]} against {CLAIMS[0][2]}"
    assert len(lines) == 2 * len(CLAIMS)
    assert all("word error" in line for line in lines[1::2])


def test_a_table_names_a_row_once() -> None:
    results = [
        Result("downlink", "one", "codec", weather, 20, 60, {WORD_ERROR: 1.25})
        for weather in ("0 %", "5 %")
    ]
    table = markdown(results)
    assert "| one | codec | 20 | 60 | 0 % | 1.2 % |" in table
    assert "|  |  |  | 60 | 5 % | 1.2 % |" in table


def test_the_numbers_of_opus_and_red_differ() -> None:
    assert OPUS_TYPE != RED_TYPE
