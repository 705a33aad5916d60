"""Runs the scores beside us: their packages are no dependencies of Tandem's."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from bench.load.picture import ROOT
from relay.engine.ports import Samples

SCRIPT = Path(__file__).with_name("score.py")
SCORE_PYTHON = ROOT / ".venv" / "compare" / "score" / "bin" / "python"
NEEDED = "no packages for the scores: `make .venv/compare-score.installed`"

Means = tuple[str, dict[str, float]]
"""A stream's name, and its scores' means over the sentences."""


class NoScoresError(Exception):
    """Nothing here can score; the message says what to install."""


def python() -> Path:
    """Return a Python that can score.

    Raises:
        NoScoresError: There is none.
    """
    if SCORE_PYTHON.exists():
        return SCORE_PYTHON
    if all(map(importlib.util.find_spec, ("pystoi", "visqol", "zimtohrli"))):
        return Path(sys.executable)
    raise NoScoresError(NEEDED)


def arrays(
    said: Sequence[Samples], streams: Mapping[str, Sequence[Samples]]
) -> dict[str, Samples]:
    """Return what `score.py` reads, by name."""
    named = {f"said/{number}": pcm for number, pcm in enumerate(said)}
    for stream, parts in streams.items():
        named |= {f"heard/{stream}/{number}": pcm for number, pcm in enumerate(parts)}
    return named


@contextlib.contextmanager
def running(file: Path) -> Iterator[Iterator[Means]]:
    """Score a file of speech in a process of its own, while we do other things.

    Yields:
        Streams as they are done.

    Raises:
        NoScoresError: The packages are not installed.
        subprocess.CalledProcessError: It failed; it has said why.
    """
    command = [str(python()), str(SCRIPT), str(file)]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "NUMBA_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=quiet
    ) as process:
        yield map(_means, process.stdout or ())
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def _means(line: str) -> Means:
    done = json.loads(line)
    return done["stream"], {
        name: fmean(values) for name, values in done["scores"].items()
    }
