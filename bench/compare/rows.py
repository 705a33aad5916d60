"""What is measured: the rows of the table, and how one is.

A first run of a few calls gives the delay of an idle server, and from the CPU of a
call-second how many calls a core would carry. Further runs with more and more calls
look for how many it does; since calls are cheaper in numbers, each one that holds gives
a better guess.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.compare import peer
from bench.compare.peer import ROOT, PeerError, Running

FIRST_CALLS = 6
FIRST_S = 10.0
STEP_S = 6.0
RAMP_S = 4.0
"""Seconds in which all calls of a step are begun."""

FIRST_SHARE, NEXT_SHARE = 0.8, 0.95
"""Of the calls that the CPU of a run promises; the first, and each after one held."""

LESS = 0.7
"""Of a load that did not hold, while none has."""

CLOSE = 0.05
"""Share of the load that need not be told apart."""

MAX_STEPS = 4
"""Loads tried for a row: the whole comparison is to take less than ten minutes."""

MAX_P99_MS = 60.0
"""A load holds while p99 of the delay is no more than this above that of few calls."""

MIN_RETURNED = 0.99
RUN_TIMEOUT_S = 120.0


class LoadError(PeerError):
    """A load came to no figures: the server did not stand it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A server in one of its settings.

    Attributes:
        options: For `bench.load`.
        environ: For the server.
    """

    name: str
    peer: str
    codec: str = ""
    options: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)


TALK = ("--conversation", "--turn", "3")

VARIANTS = (Row("tandem, in turns", peer.OWN, options=TALK),)
"""Rows beside the one that each peer has for its defaults."""


@dataclass(slots=True)
class Result:
    """One row's figures; None: not measured.

    Attributes:
        left_out: Why there are none.
        cpu_ms: By process, a call-second, at the highest load that held; the first is
            compared.
        promised: Calls a core, worked out from that.
        held: Calls that one core did carry, with `loaded_p50_ms`, `loaded_p99_ms`.
        generator_ms: What the generator itself took for a call-second.
    """

    name: str
    codec: str
    left_out: str = ""
    cpu_ms: dict[str, float] = field(default_factory=dict)
    p50_ms: float | None = None
    p99_ms: float | None = None
    promised: float | None = None
    held: int | None = None
    loaded_p50_ms: float | None = None
    loaded_p99_ms: float | None = None
    generator_ms: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where: the server alone, all else elsewhere."""

    server: int
    others: frozenset[int]


def rows(only: tuple[str, ...] = ()) -> list[Row]:
    """Return what to measure: all, or the rows of some peers."""
    defaults = [Row(name, name) for name in peer.names()]
    wanted = [row for row in (*defaults, *VARIANTS) if not only or row.peer in only]
    return sorted(wanted, key=lambda row: row.peer != peer.OWN)


def measure(
    row: Row, cores: Cores, tell: Callable[[str], None], *, search: bool
) -> Result:
    """Measure one row; what cannot be is left out with its reason."""
    result = Result(row.name, row.codec)
    try:
        with peer.running(row.peer, row.environ, cores.server) as server:
            _measure(row, server, result, cores, tell, search=search)
    except PeerError as error:
        result.left_out = str(error)
        tell(f"  left out: {error}")
    return result


def _measure(
    row: Row,
    server: Running,
    result: Result,
    cores: Cores,
    tell: Callable[[str], None],
    *,
    search: bool,
) -> None:
    result.codec = row.codec or server.codec
    for companion in list(server.pids.values())[1:]:
        peer.move(companion, set(cores.others))
    tell(f"  {FIRST_CALLS} calls ...")
    first = _load(row, server, cores, FIRST_CALLS, FIRST_S)
    _check(first)
    _note_cpu(result, first, server)
    if first["delay"] is not None:
        result.p50_ms, result.p99_ms = first["delay"]["p50"], first["delay"]["p99"]
    if search and result.promised is not None and result.p99_ms is not None:
        _search(row, server, result, cores, tell)


def _search(
    row: Row,
    server: Running,
    result: Result,
    cores: Cores,
    tell: Callable[[str], None],
) -> None:
    """Look for the load that is not carried any more."""
    assert result.promised is not None
    assert result.p99_ms is not None
    failed = None
    for _ in range(MAX_STEPS):
        calls = next_load(result.promised, result.held, failed)
        if calls is None:
            return
        tell(f"  {calls} calls ...")
        try:
            run = _load(row, server, cores, calls, STEP_S)
        except LoadError:
            failed = calls
            continue
        if holds(run, result.p99_ms):
            _note(result, run, server, calls)
        else:
            failed = calls


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


def _note(result: Result, run: Mapping[str, Any], server: Running, calls: int) -> None:
    """Note a load that holds: its CPU is nearer to the truth than that of few calls."""
    result.held = calls
    result.loaded_p50_ms = run["delay"]["p50"]
    result.loaded_p99_ms = run["delay"]["p99"]
    _note_cpu(result, run, server)


def holds(run: Mapping[str, Any], base_p99_ms: float) -> bool:
    """Tell whether a server carried its calls as well as it does a few."""
    return (
        run["connected"] == run["calls"]
        and not run["failures"]
        and run["returned"] >= MIN_RETURNED
        and run["delay"] is not None
        and run["delay"]["p99"] <= base_p99_ms + MAX_P99_MS
    )


def _note_cpu(result: Result, run: Mapping[str, Any], server: Running) -> None:
    result.cpu_ms = {n: run["cpu_ms"][str(p)] for n, p in server.pids.items()}
    result.generator_ms = run["own_cpu_ms"]
    spent_ms = next(iter(result.cpu_ms.values()))
    result.promised = 1000 / spent_ms if spent_ms else None


def _check(run: Mapping[str, Any]) -> None:
    if run["connected"] < run["calls"]:
        reasons = "; ".join(run["failures"]) or "no reason known"
        raise PeerError(f"calls did not connect: {reasons}")


def _load(
    row: Row, server: Running, cores: Cores, calls: int, seconds: float
) -> dict[str, Any]:
    """Run the generator as a process of its own, on the other cores.

    Raises:
        LoadError: It came to no figures.
    """
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.json"
        command = ["taskset", "--cpu-list", ",".join(map(str, sorted(cores.others)))]
        command += [sys.executable, "-m", "bench.load", f"--url={server.url}"]
        command += [f"--calls={calls}", f"--ramp={max(1.0, calls / RAMP_S):g}"]
        command += [f"--duration={seconds:g}", f"--json={figures}", *row.options]
        command += [f"--pid={pid}" for pid in server.pids.values()]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=RUN_TIMEOUT_S,
                check=False,  # 1 says that calls were lost, which is a result here
            )
        except subprocess.TimeoutExpired as error:
            raise LoadError(f"no end after {RUN_TIMEOUT_S:g} s") from error
        if not figures.exists():
            raise LoadError(f"the generator failed: {done.stderr.strip()[-200:]}")
        return dict(json.loads(figures.read_text(encoding="utf-8")))
