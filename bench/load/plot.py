"""A run's picture: the delay second by second, and the figures beside it.

    .venv/compare/plot/bin/python bench/load/plot.py results.json results.png

Imports nothing of Tandem, so that any Python that has matplotlib can draw it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

MIDDLE, LATE = "#1f6feb", "#a5c4f7"


def draw(result: dict[str, Any], target: Path) -> None:
    """Draw the results of `python -m bench.load --json`."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    delay, figures = figure.subplots(1, 2, width_ratios=[2, 1])
    at = [second["at_s"] for second in result["seconds"]]
    delay.plot(at, [s["p99_ms"] for s in result["seconds"]], color=LATE, label="p99")
    delay.plot(at, [s["p50_ms"] for s in result["seconds"]], color=MIDDLE, label="p50")
    delay.set(xlabel="seconds at full load", ylabel="delay added, ms")
    delay.set_ylim(bottom=0)
    delay.spines[["top", "right"]].set_visible(False)
    if at:
        delay.legend(frameon=False)
    else:
        delay.set_title("no echo of the caller's voice: no delay", fontsize="medium")
    figures.axis("off")
    figures.text(0, 1, _text(result), va="top", family="monospace", fontsize="small")
    figure.savefig(target, dpi=150)


def _text(result: dict[str, Any]) -> str:
    lines = [f"{result['connected']} of {result['calls']} calls connected"]
    for name, title in (("set_up", "set-up"), ("first_media", "first media")):
        if result[name]:
            p50, p99 = result[name]["p50"], result[name]["p99"]
            lines.append(f"{title:<12} p50 {p50:.0f}  p99 {p99:.0f} ms")
    if result["delay"]:
        p50, p99 = result["delay"]["p50"], result["delay"]["p99"]
        lines.append(f"{'delay':<12} p50 {p50:.1f}  p99 {p99:.1f} ms")
    lines += [
        f"packets back {100 * result['returned']:.2f} %",
        f"lost         {100 * result['lost']:.2f} %",
        f"gaps         {result['gaps']}, longest {result['longest_gap_ms']:.0f} ms",
        *(
            f"CPU {pid:<8} {cpu_ms:.1f} ms a call-second"
            for pid, cpu_ms in result["cpu_ms"].items()
        ),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
