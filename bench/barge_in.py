"""What an interruption does, as heard at a browser: `python -m bench.barge_in`.

Starts the real services with the built-in engine and holds one call on the page in a
headless Chromium. Each line the caller says is repeated back in one breath, and each
next line talks over that. Microphone, agent and events are recorded in the page on one
clock; an event's time is good to 11 ms, as the page renders sound in bursts of that.

    started    from the line's first audible sample to `speech_started`
    cleared    from there to `output_audio_buffer.cleared`
    silent     from there to the end of the agent's last audible sample
    total      the three together
    truncated  audio_end_ms of `conversation.item.truncated`
    played     how far into the item the agent's last audible sample was
    off        truncated less played: below 0, more was heard than is remembered

Audible is a sample above -50 dBFS. Sound is matched by cross-correlation: the lines in
what the microphone gave, the end of what the agent was heard to say in what the engine
spoke. What falls into a pause of the agent's is not measured; what ends in one counts
with the last sound before it. A sound that is cut off rings in the codec for some 20 ms
more, which counts as played; `bench.truncation` knows that apart.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from proto.frames import SAMPLE_RATE_HZ
from relay.engine.sentences import speakable
from relay.engine.speaking import HibariSpeaking
from tests.browser import recording
from tests.browser.calling import Received, calling
from tests.support import chromium, ear, speech
from tests.support.sound import Pcm, lag_samples, write_wav

LINES = (
    "Please repeat after me the garden behind the house is full of flowers in spring.",
    "Now repeat after me my brother walked along the river all morning with his dogs.",
    "Will you repeat after me the children play football in the park every evening.",
    "Anna can repeat after me somebody left a green umbrella in the large kitchen.",
    "Stop and repeat after me a small boat carried apples and bread across the lake.",
    "Okay say this after me open the window to let the warm air out of the room.",
    "Go on and speak after me the mountains are nowhere as high as near the sea.",
)
"""What follows "after me" comes back in one breath; each begins with another sound."""

FIRST_S, TAIL_S = 3.0, 2.0
"""Silence before the first line, and after the last."""

REPLY_S = 0.1
"""About when a reply begins after a line, which ends in 0.5 s of silence of its own."""

INTO_S = (0.3, 2.4)
"""How far into a reply it is interrupted, drawn evenly; the shortest lasts 3 s."""

SEARCH_S = 0.5
"""How far from its place in the script a line is looked for, the first to one side."""

MATCH_S, FADE_S = 0.4, 0.03
"""How much of the agent's last sound is matched, and how much of its end is not: the
browser's jitter buffer may have made that up."""


class Script(NamedTuple):
    """What the caller says, and at which sample each line begins."""

    pcm: Pcm
    lines: list[Pcm]
    starts: list[int]


class Recorded(NamedTuple):
    """What was recorded of the call."""

    you: Pcm
    agent: Pcm
    events: list[Received]


class Interruption(NamedTuple):
    """One line of the table, milliseconds."""

    started: float
    cleared: float
    silent: float
    total: float
    truncated: float
    played: float
    off: float


def write_script(count: int, seed: int) -> Script:
    """Return a line to begin with and `count` lines that interrupt."""
    rng = random.Random(seed)
    texts: list[str] = []
    while len(texts) <= count:
        texts += rng.sample(LINES, len(LINES))
    lines = [speech.speak(text) for text in texts[: count + 1]]
    pauses = [FIRST_S, *(REPLY_S + rng.uniform(*INTO_S) for _ in range(count))]
    pcm, starts = np.zeros(0, np.int16), []
    for pause_s, line in zip(pauses, lines, strict=True):
        pcm = recording.script([(0.0, pcm), (pause_s, line)], 0.0)
        starts.append(len(pcm) - len(line))
    return Script(recording.script([(0.0, pcm)], TAIL_S), lines, starts)


async def hold(executable: Path, script: Script) -> Recorded:
    """Hold the call until the script is over."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "caller.wav"
        write_wav(wav, script.pcm)
        async with calling(executable, wav) as call:
            length_s = len(script.pcm) // SAMPLE_RATE_HZ
            for second in range(length_s):
                said = sum(start <= second * SAMPLE_RATE_HZ for start in script.starts)
                print(
                    f"\r{second} of {length_s} s, interruption {max(0, said - 1)} ",
                    end="",
                    file=sys.stderr,
                    flush=True,
                )
                await asyncio.sleep(1)
            print(file=sys.stderr)
            return Recorded(*await call.recorded(), await call.received())


def onsets(script: Script, you: Pcm) -> list[int]:
    """Return at which sample of the recording each line is first audible."""
    search, late, found = round(SEARCH_S * SAMPLE_RATE_HZ), 0, []
    for line, start in zip(script.lines, script.starts, strict=True):
        begin = start + late - search
        window = you[begin : start + late + len(line) + search]
        late = begin + lag_samples(line, window) - start
        found.append(start + late + int(audible(line)[0]))
    return found


def interruptions(script: Script, recorded: Recorded) -> list[Interruption | None]:
    """Return what each line but the first did; None: it talked over no sound."""
    voice, agent = HibariSpeaking(), recorded.agent
    found: list[Interruption | None] = []
    starts = [*onsets(script, recorded.you), len(agent)]
    spans = list(zip(script.lines, pairwise(starts), strict=True))
    for line, (start, end) in spans[1:]:
        heard = audible(agent[start - SAMPLE_RATE_HZ : start + len(line)])
        silence = start - SAMPLE_RATE_HZ + (int(heard[-1]) + 1 if len(heard) else 0)
        events = [
            one for one in recorded.events if start <= one.at_s * SAMPLE_RATE_HZ < end
        ]
        started = first(events, "input_audio_buffer.speech_started")
        cleared = first(events, "output_audio_buffer.cleared")
        truncated = first(events, "conversation.item.truncated")
        if silence <= start or not (started and cleared and truncated):
            found.append(None)
            continue
        spoken = what_was_spoken(recorded.events, truncated.event["item_id"], voice)
        truncated_ms = float(truncated.event["audio_end_ms"])
        played_ms = milliseconds(played(agent, silence, spoken))
        found.append(
            Interruption(
                started=1000 * started.at_s - milliseconds(start),
                cleared=1000 * (cleared.at_s - started.at_s),
                silent=milliseconds(silence) - 1000 * cleared.at_s,
                total=milliseconds(silence - start),
                truncated=truncated_ms,
                played=played_ms,
                off=truncated_ms - played_ms,
            )
        )
    return found


def audible(pcm: Pcm) -> NDArray[np.intp]:
    """Return the indices of the audible samples."""
    return np.flatnonzero(np.abs(pcm.astype(np.int32)) > recording.AUDIBLE_RMS)


def first(events: list[Received], kind: str) -> Received | None:
    """Return the first event of a type."""
    return next((one for one in events if one.event["type"] == kind), None)


def what_was_spoken(events: list[Received], item_id: str, voice: HibariSpeaking) -> Pcm:
    """Return an item's audio as the engine made it: the same words sound the same."""
    kind = "response.output_audio_transcript.delta"
    pieces = [
        voice.speak(speakable(event["delta"]), 1.0)
        for _, event in events
        if event["type"] == kind and event["item_id"] == item_id
    ]
    return np.concatenate(pieces)


def played(agent: Pcm, silence: int, spoken: Pcm) -> int:
    """Return how many samples of an item had been heard when it fell silent."""
    match, fade = (round(part_s * SAMPLE_RATE_HZ) for part_s in (MATCH_S, FADE_S))
    return ear.find(agent[silence - match : silence - fade], spoken) + match


def milliseconds(samples: int) -> float:
    """Return the time of samples."""
    return 1000 * samples / SAMPLE_RATE_HZ


def summary(found: list[Interruption]) -> dict[str, Interruption]:
    """Return p50, p95 and the maximum of each figure; of `off`, of its size."""
    figures = np.array(found)
    figures[:, -1] = np.abs(figures[:, -1])
    rows = np.percentile(figures, [50, 95, 100], axis=0).tolist()
    return {
        name: Interruption(*row)
        for name, row in zip(("p50", "p95", "max"), rows, strict=True)
    }


def show(name: str, figures: Interruption | None) -> None:
    """Print one line of the table."""
    cells = "   no reply, or a pause in it: nothing to measure"
    if figures is not None:
        cells = "".join(f"{figure:11.0f}" for figure in figures)
    print(f"{name:>4}{cells}")


def report(found: list[Interruption | None], path: Path | None) -> None:
    """Print the table, and write it as JSON where that is asked."""
    print("  ms" + "".join(f"{field:>11}" for field in Interruption._fields))
    for number, figures in enumerate(found, start=1):
        show(str(number), figures)
    measured = [figures for figures in found if figures is not None]
    rows = summary(measured) if measured else {}
    for name, figures in rows.items():
        show(name, figures)
    if path is not None:
        listed = [figures and figures._asdict() for figures in found]
        totals = {name: figures._asdict() for name, figures in rows.items()}
        written = {"interruptions_ms": listed, "summary_ms": totals}
        path.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=10, help="interruptions")
    parser.add_argument("--seed", type=int, default=1, help="of lines and moments")
    parser.add_argument("--json", type=Path, metavar="FILE", help="results go here too")
    arguments = parser.parse_args()
    executable = chromium.find()
    if (reason := chromium.lacking()) is not None or executable is None:
        print(f"skipped: {reason}")
        return
    script = write_script(arguments.count, arguments.seed)
    recorded = asyncio.run(hold(executable, script))
    report(interruptions(script, recorded), arguments.json)


if __name__ == "__main__":
    main()
