"""Deltas to frames, and heard samples back to items."""

import pytest
from hypothesis import given, strategies as st

from proto.frames import FRAME_BYTES, FRAME_SAMPLES
from relay import audio
from relay.audio import Cut, Speech
from relay.upstream.events import AudioDelta


def delta(
    samples: int, item: str = "item_1", response: str = "resp_1", content: int = 0
) -> AudioDelta:
    return AudioDelta(response, item, content, bytes(range(1, 3)) * samples)


def speech_of(*deltas: AudioDelta) -> Speech:
    speech = Speech()
    for one in deltas:
        speech.push(one)
    return speech


def take_all(speech: Speech) -> list[bytes]:
    if not speech.in_talkspurt:
        speech.begin_talkspurt()
    frames = []
    while speech.has_frames:
        frames.append(speech.take(0).payload)
    return frames


def test_samples_that_fill_no_frame_wait_for_the_next_delta() -> None:
    speech = speech_of(delta(700))
    assert [len(pcm) for pcm in take_all(speech)] == [FRAME_BYTES]
    speech.push(delta(260))
    assert [len(pcm) for pcm in take_all(speech)] == [FRAME_BYTES]
    assert speech.is_drained


def test_the_end_of_a_part_is_padded_with_silence() -> None:
    speech = speech_of(delta(100))
    assert not speech.has_frames
    speech.finish("resp_1")
    (pcm,) = take_all(speech)
    assert pcm == bytes(range(1, 3)) * 100 + bytes(FRAME_BYTES - 200)


def test_the_end_of_another_response_pads_nothing() -> None:
    speech = speech_of(delta(100))
    speech.finish("resp_0")
    assert not speech.has_frames


def test_a_frame_never_mixes_two_items() -> None:
    speech = speech_of(delta(100), delta(FRAME_SAMPLES, item="item_2"))
    first, second = take_all(speech)
    assert first.endswith(bytes(FRAME_BYTES - 200))
    assert second == bytes(range(1, 3)) * FRAME_SAMPLES


def test_an_odd_byte_waits_for_its_other_half() -> None:
    speech = Speech()
    pcm = bytes(range(256)) * 8
    speech.push(AudioDelta("resp_1", "item_1", 0, pcm[:961]))
    speech.push(AudioDelta("resp_1", "item_1", 0, pcm[961:1920]))
    assert b"".join(take_all(speech)) == pcm[:1920]


@given(st.lists(st.integers(min_value=0, max_value=3000), max_size=20))
def test_frames_hold_the_deltas_samples_in_order(lengths: list[int]) -> None:
    pcm = b"".join(n.to_bytes(2, "little") for n in range(sum(lengths)))
    speech, start = Speech(), 0
    for length in lengths:
        piece = pcm[2 * start : 2 * (start + length)]
        speech.push(AudioDelta("resp_1", "item_1", 0, piece))
        start += length
    speech.finish("resp_1")
    joined = b"".join(take_all(speech))
    assert joined[: len(pcm)] == pcm
    assert len(joined) - len(pcm) < FRAME_BYTES
    assert not any(joined[len(pcm) :])


def test_positions_are_contiguous_in_a_talkspurt_and_restart_with_the_next() -> None:
    speech = speech_of(delta(3 * FRAME_SAMPLES))
    speech.begin_talkspurt()
    taken = [speech.take(0), speech.take(0)]
    speech.begin_talkspurt()
    taken.append(speech.take(0))
    places = [(frame.talkspurt, frame.position_samples) for frame in taken]
    assert places == [(1, 0), (1, 480), (2, 0)]


def test_a_heard_position_is_mapped_to_the_item_it_lies_in() -> None:
    speech = speech_of(delta(4800), delta(9600, item="item_2"))
    take_all(speech)
    speech.playback.heard(1, 4800 + 2400)
    assert speech.cut().cuts() == [Cut("item_2", 0, 100)]


def test_items_not_heard_at_all_are_cut_at_zero() -> None:
    speech = speech_of(delta(4800), delta(4800, item="item_2"))
    take_all(speech)
    speech.playback.heard(1, 2400)
    assert speech.cut().cuts() == [Cut("item_1", 0, 100), Cut("item_2", 0, 0)]


def test_audio_that_never_left_was_not_heard() -> None:
    speech = speech_of(delta(48_000))
    speech.begin_talkspurt()
    for _ in range(10):
        speech.take(0)
    speech.playback.heard(1, 10**9)
    assert speech.cut().cuts() == [Cut("item_1", 0, 200)]
    assert speech.is_drained


def test_padding_belongs_to_no_item() -> None:
    speech = speech_of(delta(100))
    speech.finish("resp_1")
    speech.push(delta(4800, item="item_2"))
    take_all(speech)
    speech.playback.heard(1, FRAME_SAMPLES + 240)
    assert speech.cut().cuts() == [Cut("item_2", 0, 10)]


def test_heard_positions_reach_over_talkspurts() -> None:
    speech = speech_of(delta(4800))
    take_all(speech)
    speech.begin_talkspurt()
    speech.push(delta(4800))
    take_all(speech)
    speech.playback.heard(2, 1200)
    assert speech.cut().cuts() == [Cut("item_1", 0, 250)]


def test_an_item_heard_to_its_end_is_not_cut() -> None:
    speech = speech_of(delta(4800))
    take_all(speech)
    speech.playback.heard(1, 4800)
    speech.complete("resp_1")
    assert speech.is_played_out
    assert speech.cut().cuts() == []


def test_nothing_heard_yet_is_not_played_out() -> None:
    speech = speech_of(delta(4800))
    take_all(speech)
    speech.playback.heard(0, 0)
    assert speech.is_drained
    assert not speech.is_played_out


def test_a_heard_position_that_goes_back_changes_nothing() -> None:
    speech = speech_of(delta(4800))
    take_all(speech)
    speech.playback.heard(1, 2400)
    speech.playback.heard(1, 1200)
    assert speech.cut().cuts() == [Cut("item_1", 0, 100)]


@given(
    parts=st.lists(st.integers(1, 5000), min_size=1, max_size=5),
    reports=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30_000)), max_size=20),
)
def test_no_cut_is_past_what_was_received(
    parts: list[int], reports: list[tuple[int, int]]
) -> None:
    speech = Speech()
    for index, samples in enumerate(parts):
        speech.push(delta(samples, item=f"item_{index}"))
    take_all(speech)
    for talkspurt, samples in reports:
        speech.playback.heard(talkspurt, samples)
    for cut in speech.cut().cuts():
        assert 0 <= cut.audio_end_ms <= parts[int(cut.item_id[5:])] / 24


def test_a_full_queue_drops_the_newest_and_counts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audio, "MAX_QUEUED_FRAMES", 3)
    speech = speech_of(delta(5 * FRAME_SAMPLES))
    assert len(take_all(speech)) == 3
    assert speech.dropped_samples == 2 * FRAME_SAMPLES


def test_of_too_many_parts_the_oldest_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audio, "MAX_PARTS", 3)
    speech = Speech()
    for number in range(5):
        speech.push(AudioDelta("resp", f"item_{number}", 0, bytes(FRAME_BYTES)))
    cut = [cut.item_id for cut in speech.cut().cuts()]
    assert cut == ["item_2", "item_3", "item_4"]


def test_taking_without_a_frame_is_an_error() -> None:
    with pytest.raises(IndexError):
        Speech().take(0)
