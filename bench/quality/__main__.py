"""Measure how a voice survives: `python -m bench.quality` (6 minutes of CPU).

Twenty sentences, spoken by the engine's text to speech, go through each sender and
receiver in the same five weathers; what is heard is scored by word error of the
engine's speech to text and, in an environment of their own, by the scores of
`score.py`. Everything runs in virtual time: the figures do not depend on the machine,
but for the CPU of the encoders, which reads as ratios where other things run.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.load import picture
from bench.quality import scoring
from bench.quality.align import aligned
from bench.quality.result import WORD_ERROR, Result, margins
from bench.quality.rows import LIKE_FOR_LIKE, Row, rows
from bench.quality.sentences import TEXTS, Speech, spoken
from bench.quality.table import markdown
from bench.quality.trace import WEATHERS, Weather
from bench.quality.words import errors, words
from relay.engine.hearing import MoonshineHearing
from relay.engine.ports import SAMPLE_RATE_HZ, Samples, SpeechToText
from relay.engine.speaking import HibariSpeaking

PLOT = Path(__file__).with_name("plot.py")
QUICK_WEATHERS = (WEATHERS[0], WEATHERS[2])

Streams = dict[str, list[Samples]]
"""What was heard, by what it sounds like: the same sound is scored once."""


def main() -> None:
    """Carry, score, print."""
    options = _options()
    try:
        scoring.python()
    except scoring.NoScoresError as missing:
        sys.exit(f"quality: {missing}")
    weathers = QUICK_WEATHERS if options.quick else WEATHERS
    _say("speaking")
    speech = spoken(HibariSpeaking())
    streams: Streams = {}
    keyed: list[tuple[str, Result]] = []
    for row in rows():
        _say(f"{row.direction}: {row.name}")
        encode_us = _encode_us(row, speech)
        for weather in weathers:
            key, result = _carried(row, weather, speech, streams)
            result.encode_us = encode_us
            keyed.append((key, result))
    scores = _scored(speech, streams)
    for key, result in keyed:
        result.scores = scores[key]
    _publish([result for _, result in keyed], options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.quality", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--quick", action="store_true", help="0 and 5 %% of loss only")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    parser.add_argument("--png", type=Path, help="draw them here")
    return parser.parse_args()


def _carried(
    row: Row, weather: Weather, speech: Speech, streams: Streams
) -> tuple[str, Result]:
    outcome = row.carry(speech, weather)
    parts = [
        aligned(speech.part(speech.pcm, number), part)
        for number, part in enumerate(outcome.parts)
    ]
    key = hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]
    streams[key] = parts
    kbps = outcome.wire_kbps
    return key, Result(row.direction, row.name, row.codec, str(weather), None, kbps)


def _encode_us(row: Row, speech: Speech) -> float | None:
    """Return the CPU of one frame, in microseconds: the least of three times."""
    if row.encode is None:
        return None
    frames, spent_s = speech.frames, []
    for _ in range(3):
        began = time.process_time()
        row.encode(frames)
        spent_s.append(time.process_time() - began)
    return min(spent_s) / len(frames) * 1e6


def _scored(speech: Speech, streams: Streams) -> dict[str, dict[str, float]]:
    """Return each stream's scores: words are counted here, the rest beside it."""
    said = [speech.part(speech.pcm, number) for number in range(speech.count)]
    hearing = MoonshineHearing()
    clear = _word_error(hearing, said)
    _say(f"word error of the speech itself: {clear:.1f} %")
    scores: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "speech.npz"
        np.savez(file, allow_pickle=False, **scoring.arrays(said, streams))
        with scoring.running(file) as others:
            for count, (key, parts) in enumerate(streams.items(), 1):
                scores[key] = {WORD_ERROR: _word_error(hearing, parts)}
                _say(f"words of {count} of {len(streams)} streams")
            for count, (key, means) in enumerate(others, 1):
                scores[key] |= means
                _say(f"scores of {count} of {len(streams)} streams")
    return scores


def _word_error(hearing: SpeechToText, parts: Sequence[Samples]) -> float:
    """Return the percentage of wrong words."""
    wrong = total = 0
    for text, pcm in zip(TEXTS, parts, strict=True):
        utterance = hearing.open()
        heard = utterance.add(np.pad(pcm, (0, SAMPLE_RATE_HZ // 2)))
        utterance.close()
        wrong += errors(words(text), words(heard))
        total += len(words(text))
    return 100 * wrong / total


def _publish(results: Sequence[Result], options: argparse.Namespace) -> None:
    print(markdown(results))
    print("\nBy how much it is better (minus: worse)\n")
    print("\n".join(margins(results)))
    costs_us = {r.name: r.encode_us for r in results if r.encode_us is not None}
    print(f"\nCPU of encoding, of {LIKE_FOR_LIKE}:")
    for name, cost_us in costs_us.items():
        print(f"  {name}: {100 * cost_us / costs_us[LIKE_FOR_LIKE]:.0f} %")
    with tempfile.TemporaryDirectory() as folder:
        figures = options.json or Path(folder) / "figures.json"
        text = json.dumps([result.as_json() for result in results], indent=1)
        figures.write_text(text, encoding="utf-8")
        if options.png and not picture.draw(PLOT, figures, options.png):
            _say(f"no plot: it needs {picture.NEEDED}")


def _say(line: str) -> None:
    """Tell the user what takes time now."""
    print(f"quality: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
