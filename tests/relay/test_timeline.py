"""Silence stands in for what the caller's timeline skips."""

from relay.timeline import MAX_FILL_SAMPLES, Timeline


def test_audio_that_follows_directly_needs_no_silence() -> None:
    timeline = Timeline()
    assert [timeline.gap_before(480 * n, 480) for n in range(3)] == [0, 0, 0]


def test_the_first_frame_needs_no_silence_wherever_it_is() -> None:
    assert Timeline().gap_before(480_000, 480) == 0


def test_a_jump_is_filled_with_silence_of_its_length() -> None:
    timeline = Timeline()
    timeline.gap_before(0, 480)
    assert timeline.gap_before(9600, 480) == 9120


def test_a_wild_jump_is_filled_up_to_the_bound() -> None:
    timeline = Timeline()
    timeline.gap_before(0, 480)
    assert timeline.gap_before(2**40, 480) == MAX_FILL_SAMPLES
    assert timeline.gap_before(2**40 + 480, 480) == 0


def test_lost_frames_are_filled_once() -> None:
    timeline = Timeline()
    timeline.gap_before(0, 480)
    assert timeline.lost(2) == 960
    assert timeline.gap_before(1440, 480) == 0


def test_many_lost_frames_are_filled_up_to_the_bound() -> None:
    timeline = Timeline()
    timeline.gap_before(0, 480)
    assert timeline.lost(10_000) == MAX_FILL_SAMPLES


def test_frames_lost_before_the_first_one_are_no_gap() -> None:
    assert Timeline().lost(3) == 0


def test_a_position_that_goes_back_is_taken_as_it_is() -> None:
    timeline = Timeline()
    timeline.gap_before(4800, 480)
    assert timeline.gap_before(0, 480) == 0
    assert timeline.gap_before(480, 480) == 0
