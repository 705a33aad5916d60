"""How truly an interrupted item is truncated: `python -m bench.truncation`.

Starts the real services with a scripted Realtime API behind them. Callers talk over
what it says at seeded random moments, half by voice and half by `interrupt()`, and know
what they have played (`tests.support.interrupting`); their jitter buffers hold 40 ms.

    truncated  audio_end_ms of `conversation.item.truncated`; 0: the item was deleted
    heard      how far into the item the last audible sample played was
    off        truncated less heard: below 0, more was heard than is remembered
    silent     from `speech_started`, or the client's `output_audio_buffer.clear`, to
               the end of the last audible sample played
    noticed    from the caller's first sound to `speech_started`, by loudness

`--loss` and `--delay` make the caller's path rough, both ways, by the same seed.
"""

import argparse
import asyncio
import json
from pathlib import Path

import numpy as np

from tests.support.interrupting import Interruption, Road, hold_calls, plans
from tests.support.realtime_server import running_server
from tests.support.services import running_stack

BLUR_MS = 10.0
"""How far the measure itself may be off: the codec lets the last sound ring out."""

FIGURES = ("truncated_ms", "heard_ms", "off_ms", "silent_ms", "noticed_ms")


async def measure(count: int, calls: int, seed: int, road: Road) -> list[Interruption]:
    """Hold calls at once and share the interruptions out among them."""
    drawn = plans(count, seed)
    async with (
        running_server() as server,
        running_stack(server.url, TANDEM_UPSTREAM_KEY=server.key) as stack,
    ):
        shares = [drawn[call::calls] for call in range(calls)]
        return await hold_calls(stack, server, shares, road, seed)


def show(name: str, figures: list[float]) -> None:
    """Print one line of the table."""
    print(f"{name:>14}" + "".join(f"{figure:12.1f}" for figure in figures))


def report(found: list[Interruption]) -> None:
    """Print each interruption, and what holds for all."""
    print(f"{'ms':>14}" + "".join(f"{name[:-3]:>12}" for name in FIGURES))
    for number, one in enumerate(found, start=1):
        how = "voice" if one.plan.by_voice else "clear"
        show(f"{number} {how}", [getattr(one, name) for name in FIGURES])
    off = np.array([one.off_ms for one in found])
    silent = np.array([one.silent_ms for one in found])
    for name, figures in (("|off|", np.abs(off)), ("silent", silent)):
        p50, p95 = np.percentile(figures, [50, 95])
        print(f"{name}: p50 {p50:.1f}, p95 {p95:.1f}, max {figures.max():.1f}")
    waiting = [one.waiting_deleted for one in found if one.waiting_deleted is not None]
    print(f"off, mean: {off.mean():+.1f}")
    print(f"more remembered than heard: {(off > BLUR_MS).sum()} of {len(found)}")
    print(f"nothing heard of it, and deleted: {sum(waiting)} of {len(waiting)}")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=50, help="interruptions")
    parser.add_argument("--calls", type=int, default=4, help="calls at once")
    parser.add_argument("--seed", type=int, default=1, help="of moments and losses")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="each way")
    parser.add_argument("--jitter-ms", type=float, default=0.0, help="each way")
    parser.add_argument("--loss", type=float, default=0.0, help="each way, of 1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="results go here too")
    given = parser.parse_args()
    road = Road(given.delay_ms / 1000, given.jitter_ms / 1000, given.loss)
    found = asyncio.run(measure(given.count, given.calls, given.seed, road))
    report(found)
    if given.json is not None:
        rows = [{name: getattr(one, name) for name in FIGURES} for one in found]
        given.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
