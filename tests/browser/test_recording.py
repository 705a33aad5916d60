"""What is read off a recording: stretches of sound, and words."""

import numpy as np
import pytest

from proto.frames import SAMPLE_RATE_HZ
from tests.browser import recording
from tests.support.sound import Pcm


def tone(seconds: float) -> Pcm:
    phase = np.arange(int(seconds * SAMPLE_RATE_HZ)) * 2 * np.pi * 440 / SAMPLE_RATE_HZ
    return (8000 * np.sin(phase)).astype(np.int16)


def test_lines_laid_out_in_silence_are_found_where_they_were_put() -> None:
    pcm = recording.script([(1.0, tone(0.5)), (2.0, tone(1.0))], tail_s=0.5)
    assert len(pcm) == 5 * SAMPLE_RATE_HZ
    times = [
        time for span in recording.spans(pcm, 0.3) for time in (span.start, span.end)
    ]
    assert times == pytest.approx([1.0, 1.5, 3.5, 4.5], abs=0.011)


def test_a_short_pause_does_not_part_a_stretch_of_sound() -> None:
    pcm = recording.script([(0.0, tone(0.5)), (0.2, tone(0.5))], tail_s=0.0)
    assert len(recording.spans(pcm, pause_s=0.3)) == 1


def test_silence_has_no_sound() -> None:
    assert recording.spans(recording.script([], tail_s=1.0), pause_s=0.3) == []


@pytest.mark.parametrize(
    ("said", "heard", "error"),
    [
        ("One, two, three.", "one two three", 0.0),
        ("one two three four", "one too three four", 0.25),
        ("one two", "", 1.0),
        ("one two", "one and two", 0.5),
        ("2 plus 3 is 5.", "Two plus three is five.", 0.0),
    ],
)
def test_word_error_counts_wrong_missing_and_added_words(
    said: str, heard: str, error: float
) -> None:
    assert recording.word_error(said, heard) == error
