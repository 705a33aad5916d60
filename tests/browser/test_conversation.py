"""The whole of Tandem as a caller has it: a browser, a voice, the built-in engine.

One call is held: two turns, then two long replies that are talked over, one slow with
pauses and one without. Both sides are recorded in the browser on one clock; every test
reads that recording.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest

from proto.frames import SAMPLE_RATE_HZ
from tests.browser import recording, transcript
from tests.browser.calling import calling
from tests.browser.recording import WORDS_WRONG, Span
from tests.browser.transcript import Shown
from tests.support import chromium
from tests.support.sound import Pcm, write_wav

speech = pytest.importorskip("tests.support.speech", exc_type=ImportError)

pytestmark = [pytest.mark.browser, pytest.mark.speech]

STOP = "Stop it please and tell me what time it is."
LINES = (
    (3.0, "Hello, my name is Anna."),
    (8.0, "Please repeat after me the weather is lovely today."),
    (8.0, "Please count slowly to twenty."),
    (6.0, STOP),
    (6.0, "The garden behind the old house is full of flowers."),
    (3.5, STOP),
)
"""Seconds of silence, then what is said: in one breath, so that each is one turn."""

ANSWERED = (0, 1)
TALKED_OVER = (2, 4)
"""Lines whose replies are heard out, and are not."""

TAIL_S = 6.0
PAUSE_S = 1.2
"""Longer than the pauses in what either side says, shorter than those between turns."""

SILENCED_S = 1.0
"""Less than half of the line that talks over it: how fast it is, `bench.barge_in` says;
a machine with other things to do takes longer."""


@dataclass(frozen=True)
class Held:
    """A call that was held.

    Attributes:
        agent: What the page played.
        lines: When each of LINES was said, as the script has it: the microphone's own
            processing may swallow a first word.
        recorded: When sound came from the microphone.
        shown: The transcript at the end.
        complaints: Console errors of the page.
    """

    agent: Pcm
    lines: list[Span]
    recorded: list[Span]
    shown: list[Shown]
    complaints: list[str]

    def reply_audio(self, line: int) -> Pcm:
        """Return what was heard between the end of a line and the next line."""
        end = self.lines[line + 1].start
        return recording.cut(self.agent, self.lines[line].end, end)

    def reply_shown(self, line: int) -> Shown:
        """Return the agent's entry that follows a line of the caller."""
        index = self.shown.index(self.said_shown(line))
        return self.shown[index + 1]

    def said_shown(self, line: int) -> Shown:
        """Return the caller's entry for a line."""
        return [entry for entry in self.shown if entry.speaker == "user"][line]


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Held:
    """Hold the call once."""
    chromium.require()
    wav = tmp_path_factory.mktemp("microphone") / "caller.wav"
    lines = [(pause_s, speech.speak(text)) for pause_s, text in LINES]
    spoken = recording.script(lines, TAIL_S)
    write_wav(wav, spoken)
    return asyncio.run(hold(wav, spoken))


async def hold(wav: Path, spoken: Pcm) -> Held:
    """Hold the call on the page until the caller's script is over."""
    async with calling(chromium.require(), wav) as call:
        await asyncio.sleep(len(spoken) / SAMPLE_RATE_HZ)
        shown = await transcript.read(call.page)
        you, agent = await call.recorded()
    recorded = recording.spans(you, PAUSE_S)
    lines = recording.spans(spoken, PAUSE_S)
    assert recorded, "nothing came from the microphone"
    late_s = recorded[0].start - lines[0].start
    lines = [Span(line.start + late_s, line.end + late_s) for line in lines]
    return Held(agent, lines, recorded, shown, call.complaints)


def test_the_microphone_kept_to_the_script(call: Held) -> None:
    said = [line.start for line in call.lines]
    assert len(said) == len(LINES)
    assert [span.start for span in call.recorded] == pytest.approx(said, abs=0.05)


@pytest.mark.parametrize("line", range(len(LINES)))
def test_the_transcript_shows_what_the_caller_said(call: Held, line: int) -> None:
    entry = call.said_shown(line)
    assert entry.status == "done"
    assert recording.word_error(LINES[line][1], entry.text) <= WORDS_WRONG, entry.text


@pytest.mark.parametrize("line", ANSWERED)
def test_the_reply_is_heard_as_it_is_shown(call: Held, line: int) -> None:
    entry = call.reply_shown(line)
    heard = speech.transcribe(call.reply_audio(line))
    assert entry.speaker == "agent"
    assert entry.status == "done"
    assert recording.word_error(entry.text, heard) <= WORDS_WRONG, (entry.text, heard)


def test_the_reply_repeats_what_was_asked(call: Held) -> None:
    heard = speech.transcribe(call.reply_audio(1))
    assert {"weather", "lovely"} <= set(recording.words(heard)), heard


@pytest.mark.parametrize("line", [*ANSWERED, *TALKED_OVER])
def test_the_wait_that_is_shown_is_the_wait_that_was_heard(
    call: Held, line: int
) -> None:
    shown_ms = call.said_shown(line).reply_ms
    first = recording.spans(call.reply_audio(line), PAUSE_S)[0]
    assert shown_ms == pytest.approx(1000 * first.start, abs=100)


@pytest.mark.parametrize("line", TALKED_OVER)
def test_talking_over_a_long_reply_silences_it(call: Held, line: int) -> None:
    over = call.lines[line + 1]
    before = recording.cut(call.agent, over.start - 2.0, over.start)
    after = recording.cut(call.agent, over.start, over.end)
    assert recording.spans(before, PAUSE_S), "the agent was not speaking"
    heard = recording.spans(after, PAUSE_S)
    silent_s = heard[-1].end if heard else 0.0
    assert silent_s <= SILENCED_S


@pytest.mark.parametrize("line", TALKED_OVER)
def test_a_reply_that_was_talked_over_is_shown_as_cut_off(
    call: Held, line: int
) -> None:
    assert call.reply_shown(line).status == "cut"


def test_counting_ends_where_it_was_talked_over(call: Held) -> None:
    counted = recording.words(speech.transcribe(call.reply_audio(TALKED_OVER[0])))
    assert counted
    assert not {"twenty", "20"} & set(counted), counted


def test_the_page_has_nothing_to_complain_of(call: Held) -> None:
    assert call.complaints == []
