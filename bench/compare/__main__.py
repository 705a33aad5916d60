"""`python -m bench.compare`: measure every server in turn, write table and picture."""

import argparse
import json
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from bench.compare import rows
from bench.compare.awake import awake
from bench.compare.limit import Limits
from bench.compare.peer import ROOT, names
from bench.compare.result import Result
from bench.compare.stand import Cores
from bench.compare.table import generator, held, markdown, more, ratios, searched
from bench.load import picture
from codec import opus

DRAW = Path(__file__).parent / "plot.py"


def main() -> int:
    """Measure, print, write; return the exit code."""
    asked = _arguments()
    if asked.shown:
        _show(asked.shown)
        return 0
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) < 2 or shutil.which("taskset") is None:
        sys.stderr.write("compare: two cores and taskset (util-linux) are needed\n")
        return 2
    cores = Cores(mine[-1], frozenset(mine[:-1]))
    results = []
    with awake(mine) as pace:
        limits = Limits(rows.ENCODINGS, cores.server, pace)
        for row in rows.rows(tuple(asked.only)):
            limits.measure()
            _tell(row.name)
            result = rows.measure(row, cores, pace, _tell, search=not asked.quick)
            results.append(result)
            # Row by row, so that a run that is broken off is not lost.
            _write(_as_json(limits.cpu_ms(), results), asked.json)
    _show(asked.json)
    if not picture.draw(DRAW, asked.json, asked.plot):
        _tell(f"no picture, which needs {picture.NEEDED}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare",
        description="Measure echo servers side by side, each on one core.",
    )
    add = parser.add_argument
    add("--only", action="append", default=[], choices=names(), help="repeat for more")
    add("--quick", action="store_true", help="do not look for what a core carries")
    add("--json", type=Path, default=ROOT / "docs" / "benchmark.json")
    add("--plot", type=Path, default=ROOT / "docs" / "benchmark.png")
    add("--shown", type=Path, metavar="FILE", help="print what an earlier run wrote")
    return parser.parse_args()


def _as_json(limits: dict[str, float], results: list[Result]) -> dict[str, Any]:
    return {
        "command": "make bench",
        "python": platform.python_version(),
        "libopus": opus.version(),
        "processor": _processor(),
        "limits_ms": limits,
        "rows": [result.as_json() for result in results],
    }


def _show(path: Path) -> None:
    figures = json.loads(path.read_text(encoding="utf-8"))
    limits, results = figures["limits_ms"], list(map(Result.read, figures["rows"]))
    tables = markdown(limits, results), more(results)
    words = (
        searched(results),
        ratios(limits, results),
        held(results),
        generator(results),
    )
    print("\n\n".join(filter(None, (*tables, *words))))
    print(f"Python {figures['python']}, {figures['libopus']}, {figures['processor']}")


def _write(figures: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


def _processor() -> str:
    """Return the processor's name, as Linux has it."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
