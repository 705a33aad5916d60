"""Fuzz the targets, guided by coverage: `python -m tests.fuzz [TARGET ...] [-s SHARE]`.

Each gets its number of executions, times SHARE, in a process of its own, one after the
other. What is found stays in .cache/fuzz: a corpus for each target, which the next run
goes on from, and the input of each crash.
"""

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

from tests.fuzz.seeds import seeds_of
from tests.fuzz.targets import TARGETS

CACHE = Path(".cache/fuzz")
LONGEST_BYTES = 1024
SLOWEST_S = 20
"""An input that takes as long counts as a crash."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="; ".join(TARGETS))
    parser.add_argument("-s", "--share", type=float, default=1.0)
    arguments = parser.parse_args()
    names = arguments.targets or list(TARGETS)
    unknown = set(names) - set(TARGETS)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    failed = [name for name in names if not _survives(name, arguments.share)]
    print(f"found something in: {', '.join(failed)}" if failed else "found nothing")  # noqa: T201  # a command-line tool prints
    return len(failed)


def _survives(name: str, share: float) -> bool:
    corpus = CACHE / name
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in seeds_of(name):
        (corpus / hashlib.sha1(seed).hexdigest()).write_bytes(seed)  # a file name
    runs = max(1, round(TARGETS[name].runs * share))
    print(f"== {name}: {runs:,} executions", flush=True)  # noqa: T201  # as above
    options = [
        f"-runs={runs}",
        f"-max_len={LONGEST_BYTES}",
        f"-timeout={SLOWEST_S}",
        f"-artifact_prefix={CACHE / name}-",
        "-print_final_stats=1",
        "-verbosity=1",
        str(corpus),
    ]
    command = [sys.executable, "-m", "tests.fuzz.guided", name, *options]
    return subprocess.run(command, check=False).returncode == 0


sys.exit(main())
