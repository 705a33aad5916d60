# /// script
# requires-python = ">=3.11"
# dependencies = ["matplotlib>=3.11"]
# ///
"""The comparison's picture: calls a core and delay, server by server.

    .venv/compare/plot/bin/python bench/compare/plot.py benchmark.json benchmark.png

It has an environment of its own, and imports nothing of Tandem.
"""

import json
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

OWN, OTHERS, LIMIT = "#1f6feb", "#8b949e", "#d0d7de"


def draw(result: dict[str, Any], target: Path) -> None:
    """Draw two bar charts that share their rows."""
    shown = [row for row in result["rows"] if row["promised"]]
    rows = [_figures(row) for row in shown]
    limits = [
        (f"limit: {name}", 1000 / ms, None, None)
        for name, ms in result["limits_ms"].items()
    ]
    bars = [*rows, *limits][::-1]
    figure = Figure(figsize=(10, 0.5 * len(bars) + 1.5), layout="constrained")
    calls, delay = figure.subplots(1, 2, sharey=True)
    names = [name for name, *_ in bars]
    colours = [_colour(name) for name in names]
    shown_bars = calls.barh(names, [count for _, count, *_ in bars], color=colours)
    calls.bar_label(shown_bars, fmt="%.0f", padding=3)
    calls.set_title("calls a core")
    p99 = [late or 0 for *_, late in bars]
    delay.barh(names, p99, color=colours, alpha=0.4)
    delay.barh(names, [middle or 0 for *_, middle, _ in bars], color=colours)
    delay.set_title("delay then, ms, at 80 % of them:\np50, and p99 pale")
    for axes in (calls, delay):
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.12)
    figure.savefig(target, dpi=150)


def _figures(row: dict[str, Any]) -> tuple[str, float, float | None, float | None]:
    """Return a row's name, calls a core, and delay, where callers have some room."""
    calls = row["held"]["calls"] if row["held"] else row["promised"]
    trial = row["at_ease"] or row["idle"]
    return row["name"], calls, trial["p50_ms"], trial["p99_ms"]


def _colour(name: str) -> str:
    if name.startswith("limit"):
        return LIMIT
    return OWN if name.startswith("tandem") else OTHERS


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
