"""What is measured: the rows of the table, and how one is.

A first run of a few calls gives the delay of an idle server, and from the CPU of a
call-second how many calls a core would carry. Further runs with more and more calls
look for how many it does; since calls are cheaper in numbers, each one that holds gives
a better guess. Then what callers notice: at 80 % of that load, of packets lost on the
way up, and, of this project, of a hundred offers in one second; and what a server pays
for protecting its voice, once packets are lost on the way down.
"""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from bench.compare import judge, peer
from bench.compare.pace import Pace
from bench.compare.peer import PeerError
from bench.compare.result import Result, Step, Trial
from bench.compare.stand import ATTEMPTS, Cores, LoadError, Stand
from codec.opus import Encoding
from transceiver.profile import Profile, plan

FIRST_CALLS = 6
FIRST_S = 10.0
STEP_S = 6.0

AT_EASE = 0.8
"""Of the calls that a core carries: the load that a cautious operator plans with."""

LOSSY = ("--loss", "5")
LOSSY_DOWN = ("--loss-down", "10")
"""Less does not make libwebrtc send in-band FEC."""

BURST_CALLS, BURST_S = 100, 3.0
"""Offers in one second, and how long their calls are held."""


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


TURN_S = 3
TALK = ("--conversation", f"--turn={TURN_S}", f"--echo-after={TURN_S}")
"""Who hears itself a turn later speaks and is spoken to in turns."""


def _own(
    name: str, profile: Profile, options: tuple[str, ...] = (), upstream: str = "echo"
) -> Row:
    environ = {"TANDEM_PROFILE": profile.value, "TANDEM_UPSTREAM": upstream}
    encoding = plan(profile, knows_red=True).encoding
    may_ease = profile is not Profile.QUALITY  # which is held against its limit
    return Row(name, peer.OWN, options, environ, encoding, may_ease)


OWN = (
    _own("tandem", Profile.AUTO),
    _own("tandem, in turns", Profile.AUTO, TALK, f"echo:{TURN_S}"),
    _own("tandem, voip", Profile.VOIP),
    _own("tandem, quality", Profile.QUALITY),
)
"""The default first, as it is for callers that offer RED; `voip` is what others get."""

ENCODINGS = tuple(dict.fromkeys(row.encoding for row in OWN if row.encoding))
"""Those whose limit is measured."""


def rows(only: tuple[str, ...] = ()) -> list[Row]:
    """Return what to measure: all, or the rows of some peers; this project's first."""
    others = [Row(name, name) for name in peer.names() if name != peer.OWN]
    return [row for row in (*OWN, *others) if not only or row.peer in only]


def measure(
    row: Row, cores: Cores, pace: Pace, tell: Callable[[str], None], *, search: bool
) -> Result:
    """Measure one row; what cannot be is left out with its reason."""
    result = Result(row.name, str(row.encoding or ""))
    try:
        start = functools.partial(peer.running, row.peer, row.environ, cores.server)
        stand = Stand(start, cores, row.options, row.peer == peer.OWN, pace, tell)
        _measure(stand, result, may_ease=row.may_ease, search=search)
    except PeerError as error:
        result.left_out = str(error)
        tell(f"  left out: {error}")
    return result


def _measure(stand: Stand, result: Result, *, may_ease: bool, search: bool) -> None:
    first = stand.load(FIRST_CALLS, FIRST_S)
    _check(first)
    result.codec = result.codec or first["codec"]
    result.idle = Trial.of(first)
    runs = [first]
    if search and first["server_ms"] and result.idle.p99_ms is not None:
        runs += _search(stand, result, first, may_ease=may_ease)
        runs += _notice(stand, result)
    _note_cpu(result, judge.telling(runs))


def _search(
    stand: Stand, result: Result, first: Mapping[str, Any], *, may_ease: bool
) -> list[dict[str, Any]]:
    """Look for the load that is not carried any more; return the runs that held."""
    runs: list[dict[str, Any]] = []
    base_p99_ms = judge.heard(first)["delay"]["p99"]
    promised, held, failed = 1000 / first["server_ms"], None, None
    for _ in range(judge.MAX_STEPS):
        calls = judge.next_load(promised, held, failed)
        if calls is None:
            break
        run = _try(stand, result, calls, base_p99_ms, may_ease=may_ease)
        if run is None:
            failed = calls
            continue
        runs.append(run)
        promised, held = calls / judge.share(run), calls
        result.held = Trial.of(run)
    return runs


def _try(
    stand: Stand, result: Result, calls: int, base_p99_ms: float, *, may_ease: bool
) -> dict[str, Any] | None:
    """Return the run if a load holds.

    One that does not is tried twice, of every server: not all that a host takes from
    its machine can be seen; what a server cannot do, stays. And it is tried again
    whenever it was disturbed. One that held in spite of that has held.
    """
    for attempt in range(1, ATTEMPTS + 1):
        disturbed = ""
        try:
            run = stand.once(calls, STEP_S)
        except LoadError as error:
            result.steps.append(Step(calls, str(error), None))
        else:
            failure = judge.failure(run, base_p99_ms, may_ease=may_ease)
            result.steps.append(Step(calls, failure, judge.share(run)))
            if not failure:
                return run
            disturbed = run["disturbed"]
        if attempt > 1 and not disturbed:
            break
    return None


def _notice(stand: Stand, result: Result) -> list[dict[str, Any]]:
    """See what callers notice where a server is neither idle nor overloaded.

    Returns:
        The run at ease, if there was one.
    """
    runs = []
    if result.held is not None:
        calls = max(1, round(AT_EASE * result.held.calls))
        runs.append(stand.load(calls, FIRST_S))
        result.at_ease = Trial.of(runs[0])
        result.protecting = Trial.of(stand.load(calls, FIRST_S, *LOSSY_DOWN))
    result.lossy = Trial.of(stand.load(FIRST_CALLS, FIRST_S, *LOSSY))
    if stand.is_own:
        run = stand.load(BURST_CALLS, BURST_S, ramp_hz=BURST_CALLS)
        result.burst = Trial.of(run)
    return runs


def _note_cpu(result: Result, run: Mapping[str, Any]) -> None:
    result.cpu_ms = run["server_cpu_ms"]
    result.generator_ms = run["own_cpu_ms"]
    result.promised = 1000 / run["server_ms"] if run["server_ms"] else None


def _check(run: Mapping[str, Any]) -> None:
    if run["connected"] < run["calls"]:
        reasons = "; ".join(run["failures"]) or "no reason known"
        raise PeerError(f"calls did not connect: {reasons}")
