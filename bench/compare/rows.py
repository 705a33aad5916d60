"""What is measured: the rows of the table, and how one is.

A first run of a few calls gives the delay of an idle server, and from the CPU of a
call-second how many calls a core would carry. Further runs with more and more calls
look for how many it does; since calls are cheaper in numbers, each one that holds gives
a better guess. Then what callers notice: at 80 % of that load, of packets lost on the
way up, and, of this project, of a hundred offers in one second.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from bench.compare import peer
from bench.compare.peer import ROOT, PeerError, Running
from codec.opus import Encoding
from transceiver.profile import Profile, plan

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
"""Loads tried for a row: the whole comparison is to take about fifteen minutes."""

AT_EASE = 0.8
"""Of the calls that a core carries: the load that a cautious operator plans with."""

LOSSY = ("--loss", "5")
BURST_CALLS, BURST_S = 100, 3.0
"""Offers in one second, and how long their calls are held."""

MAX_P99_MS = 60.0
"""A load holds while p99 of the delay is no more than this above that of few calls."""

MIN_RETURNED = 0.99
RUN_TIMEOUT_S = 120.0


class LoadError(PeerError):
    """A load came to no figures: the server did not stand it."""


class Row(NamedTuple):
    """A server in one of its settings.

    Attributes:
        options: For `bench.load`.
        environ: For the server.
        encoding: How this project encodes in it; None: of others their file says so.
        may_ease: Whether a load counts that is carried at a lower complexity than that.
    """

    name: str
    peer: str
    options: tuple[str, ...] = ()
    environ: Mapping[str, str] = MappingProxyType({})
    encoding: Encoding | None = None
    may_ease: bool = True


TALK = ("--conversation", "--turn", "3")


def _own(name: str, profile: Profile, options: tuple[str, ...] = ()) -> Row:
    environ = {"TANDEM_PROFILE": profile.value}
    encoding = plan(profile, knows_red=True).encoding
    may_ease = profile is not Profile.QUALITY  # which is held against its limit
    return Row(name, peer.OWN, options, environ, encoding, may_ease)


OWN = (
    _own("tandem", Profile.AUTO),
    _own("tandem, in turns", Profile.AUTO, TALK),
    _own("tandem, voip", Profile.VOIP),
    _own("tandem, quality", Profile.QUALITY),
)
"""The default first, as it is for callers that offer RED; `voip` is what others get."""

ENCODINGS = tuple(dict.fromkeys(row.encoding for row in OWN if row.encoding))
"""Those whose limit is measured."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What callers noticed in one run; None: their own voice was not found again.

    Attributes:
        returned: Packets received over frames sent.
        gaps: Waits over 40 ms within a talkspurt, the longest being `longest_gap_ms`.
        media_p50_ms, media_p99_ms: From the offer sent to the first packet received.
    """

    calls: int
    connected: int
    p50_ms: float | None
    p99_ms: float | None
    returned: float
    gaps: int
    longest_gap_ms: float
    media_p50_ms: float | None
    media_p99_ms: float | None

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> "Trial":
        """Take it from what the generator wrote."""
        delay, media = run["delay"] or {}, run["first_media"] or {}
        return cls(
            run["calls"],
            run["connected"],
            delay.get("p50"),
            delay.get("p99"),
            run["returned"],
            run["gaps"],
            run["longest_gap_ms"],
            media.get("p50"),
            media.get("p99"),
        )


@dataclass(slots=True)
class Result:
    """One row's figures; None: not measured.

    Attributes:
        codec: How it encodes; this project's names are those of the limits, too.
        left_out: Why there are none.
        cpu_ms: By process, a call-second, at the highest load that held; the first is
            compared.
        promised: Calls a core, worked out from that.
        generator_ms: What the generator itself took for a call-second.
        idle: With a few calls.
        held: With the most calls that one core did carry.
        at_ease: With 80 % of them.
        lossy: With a few calls, of whose packets 5 % are lost on the way up.
        burst: With a hundred offers in one second.
    """

    name: str
    codec: str
    left_out: str = ""
    cpu_ms: dict[str, float] = field(default_factory=dict)
    promised: float | None = None
    generator_ms: float | None = None
    idle: Trial | None = None
    held: Trial | None = None
    at_ease: Trial | None = None
    lossy: Trial | None = None
    burst: Trial | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where: the server alone, all else elsewhere."""

    server: int
    others: frozenset[int]


def rows(only: tuple[str, ...] = ()) -> list[Row]:
    """Return what to measure: all, or the rows of some peers; this project's first."""
    others = [Row(name, name) for name in peer.names() if name != peer.OWN]
    return [row for row in (*OWN, *others) if not only or row.peer in only]


def measure(
    row: Row, cores: Cores, tell: Callable[[str], None], *, search: bool
) -> Result:
    """Measure one row; what cannot be is left out with its reason."""
    result = Result(row.name, str(row.encoding or ""))
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
    result.codec = result.codec or server.codec
    for companion in list(server.pids.values())[1:]:
        peer.move(companion, set(cores.others))
    tell(f"  {FIRST_CALLS} calls ...")
    first = _load(row, server, cores, FIRST_CALLS, FIRST_S)
    _check(first)
    _note_cpu(result, first, server)
    result.idle = Trial.of(first)
    if search and result.promised is not None and result.idle.p99_ms is not None:
        _search(row, server, result, cores, tell)
        _notice(row, server, result, cores, tell)


def _search(
    row: Row,
    server: Running,
    result: Result,
    cores: Cores,
    tell: Callable[[str], None],
) -> None:
    """Look for the load that is not carried any more."""
    assert result.promised is not None
    assert result.idle is not None
    assert result.idle.p99_ms is not None
    failed = None
    for _ in range(MAX_STEPS):
        held = None if result.held is None else result.held.calls
        calls = next_load(result.promised, held, failed)
        if calls is None:
            return
        tell(f"  {calls} calls ...")
        try:
            run = _load(row, server, cores, calls, STEP_S)
        except LoadError:
            failed = calls
            continue
        if holds(run, result.idle.p99_ms) and (row.may_ease or not run["eased"]):
            result.held = Trial.of(run)
            _note_cpu(result, run, server)
        else:
            failed = calls


def _notice(
    row: Row,
    server: Running,
    result: Result,
    cores: Cores,
    tell: Callable[[str], None],
) -> None:
    """See what callers notice where a server is neither idle nor overloaded."""
    if result.held is not None:
        calls = max(1, round(AT_EASE * result.held.calls))
        tell(f"  {calls} calls, at ease ...")
        result.at_ease = Trial.of(_load(row, server, cores, calls, FIRST_S))
    tell(f"  {FIRST_CALLS} calls, 5 % lost ...")
    lossy = row._replace(options=(*row.options, *LOSSY))
    result.lossy = Trial.of(_load(lossy, server, cores, FIRST_CALLS, FIRST_S))
    if row.peer == peer.OWN:
        tell(f"  {BURST_CALLS} offers in a second ...")
        run = _load(row, server, cores, BURST_CALLS, BURST_S, BURST_CALLS)
        result.burst = Trial.of(run)


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
    row: Row,
    server: Running,
    cores: Cores,
    calls: int,
    seconds: float,
    ramp: float = 0.0,
) -> dict[str, Any]:
    """Run the generator as a process of its own, on the other cores.

    Raises:
        LoadError: It came to no figures.
    """
    eased = _times_eased(server, row)
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.json"
        command = ["taskset", "--cpu-list", ",".join(map(str, sorted(cores.others)))]
        command += [sys.executable, "-m", "bench.load", f"--url={server.url}"]
        ramp = ramp or max(1.0, calls / RAMP_S)
        command += [f"--calls={calls}", f"--ramp={ramp:g}"]
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
        run = dict(json.loads(figures.read_text(encoding="utf-8")))
    return run | {"eased": _times_eased(server, row) > eased}


def _times_eased(server: Running, row: Row) -> float:
    """Return how often this project has eased its encoders, once it eases none."""
    if row.peer != peer.OWN:
        return 0.0
    while _metric(server, "tandem_strain"):
        time.sleep(0.5)
    return _metric(server, "tandem_eased_total")


def _metric(server: Running, name: str) -> float:
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])
