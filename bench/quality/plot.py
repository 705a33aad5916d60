"""The scores under loss, one panel for each, of what the caller and the model hear.

    .venv/compare/plot/bin/python bench/quality/plot.py results.json results.png

Imports nothing of Tandem, so that any Python that has matplotlib can draw it.
"""

import json
import sys
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

HEARERS = {"downlink": "the caller hears", "uplink": "the model hears"}
OURS = "Tandem"
COLOURS = {True: ("#1f6feb", "#54aeff", "#0a3069"), False: ("#8c959f", "#57606a")}
"""Ours, others'."""


def draw(results: list[dict[str, Any]], target: Path) -> None:
    """Draw the results of `python -m bench.quality --json`."""
    names = list(results[0]["scores"])
    figure = Figure(figsize=(3.2 * len(names), 6.5), layout="constrained")
    for panels, (direction, hearer) in zip(
        figure.subplots(2, len(names), squeeze=False), HEARERS.items(), strict=True
    ):
        rows = [row for row in results if row["direction"] == direction]
        for panel, name in zip(panels, names, strict=True):
            _lines(panel, rows, name)
            panel.set_title(name, fontsize="medium")
        panels[0].set_ylabel(hearer)
        panels[0].legend(frameon=False, fontsize="x-small")
    figure.savefig(target, dpi=150)


def _lines(panel: Any, rows: list[dict[str, Any]], score: str) -> None:
    senders = list(dict.fromkeys(row["name"] for row in rows))
    used = {True: 0, False: 0}
    for sender in senders:
        ours = sender.startswith(OURS)
        colours = COLOURS[ours]
        colour = colours[used[ours] % len(colours)]
        used[ours] += 1
        points = [row for row in rows if row["name"] == sender]
        panel.plot(
            [row["weather"].replace(" in ", "\n") for row in points],
            [row["scores"][score] for row in points],
            marker="o",
            markersize=3,
            color=colour,
            linestyle="-" if ours else "--",
            label=sender,
        )
    panel.tick_params(axis="x", labelsize="x-small")
    panel.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2]))
