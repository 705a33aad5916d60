"""What a run says of a server: whether the load held, which to try next. Pure.

A run is what the generator wrote of one load. One core is to be seen at its limit, so
a run counts only if that core, and those of the generator, had nothing else to do.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.load.summary import LATE_MS

FIRST_SHARE, NEXT_SHARE = 0.8, 0.95
"""Of the calls that the CPU of a run promises; the first, and each after one held."""

LESS = 0.7
"""Of a load that did not hold, while none has."""

CLOSE = 0.05
"""Share of the load that need not be told apart."""

MAX_STEPS = 5
"""Loads tried for a row: the whole comparison is to take about twenty minutes."""

MAX_P99_MS = 60.0
"""A load holds while p99 of the delay is no more than this above that of few calls."""

MIN_RETURNED = 0.99

MAX_OTHERS_SHARE = 0.05
"""Of the server's core, that other processes may take."""

MAX_SLOWNESS = 1.15
"""Times what a piece of work takes at best. It varies by a twentieth on a core that is
left alone, and a server takes half of what it takes beyond that (both measured)."""

MAX_SLOWEST = 1.3
"""Likewise, of one second. At 1.5 who takes 0.8 of a core would need all of it: then
calls wait, and one second of that is in p99 of a whole run."""


def next_load(promised: float, held: int | None, failed: int | None) -> int | None:
    """Return how many calls to try next; None when it is known closely enough.

    Args:
        promised: Calls a core, worked out from the last load that held.
        held: The highest load that held.
        failed: The lowest that did not.
    """
    if failed is None:
        if held is None:
            return max(1, round(FIRST_SHARE * promised))
        return max(held + max(1, round(CLOSE * held)), round(NEXT_SHARE * promised))
    calls = round(LESS * failed) if held is None else (held + failed) // 2
    nearest = held or 0
    return calls if calls - nearest > CLOSE * nearest else None


def failure(run: Mapping[str, Any], base_p99_ms: float, *, may_ease: bool) -> str:
    """Return why a server did not carry its calls as well as a few; empty: it did.

    Args:
        run: What the generator wrote.
        base_p99_ms: Of the delay of a few calls.
        may_ease: Whether a load counts that is carried with encoders eased.
    """
    delay = heard(run)["delay"]
    if run["failures"]:
        return "; ".join(f"{count} x {why}" for why, count in run["failures"].items())
    if run["connected"] < run["calls"]:
        return f"{run['calls'] - run['connected']} calls not connected"
    if run["returned"] < MIN_RETURNED:
        return f"{100 * run['returned']:.1f} % of the packets answered"
    if delay is None:
        return "no caller heard its own voice"
    if delay["p99"] > base_p99_ms + MAX_P99_MS:
        return f"delay p99 {delay['p99']:.0f} ms"
    return "encoders were eased" if run["eased"] and not may_ease else ""


def heard(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what callers heard while the kernel held no core for itself."""
    return run["apart"] or run


def telling(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the run that shows best what a call costs a server as it is set.

    The one with the most calls, of those with no encoder eased and undisturbed; but not
    one of a few calls where there are others: those cost more each.
    """
    most = max(run["calls"] for run in runs)

    def worth(run: Mapping[str, Any]) -> tuple[bool, bool, bool, int]:
        is_busy = 2 * run["calls"] >= most
        return not run["eased"], is_busy, not run["disturbed"], run["calls"]

    return max(runs, key=worth)


def share(run: Mapping[str, Any]) -> float:
    """Return how much of one core the process that is compared took."""
    return float(run["server_ms"] * run["connected"] / 1000)


def disturbance(run: Mapping[str, Any], core: int) -> str:
    """Return what part others had in how a run went; empty: none.

    Either they took the server's core from it, or the core itself was slow, or the
    generator, which has cores to spare, was late: then the load was another one than
    asked for.
    """
    others = run["others"].get(str(core), 0.0)
    if others > MAX_OTHERS_SHARE:
        return f"others took {100 * others:.0f} % of the core"
    if not is_calm(run["slowness"]):
        return f"the core was {run['slowness']:.2f} times as slow as at best"
    if run["slowest"] > MAX_SLOWEST:
        return f"the core was {run['slowest']:.2f} times as slow for a second"
    if run["late_ms"] > LATE_MS:
        return f"the generator was {run['late_ms']:.0f} ms late"
    return ""


def is_calm(slowness: float) -> bool:
    """Tell whether what was measured meanwhile counts."""
    return slowness <= MAX_SLOWNESS
