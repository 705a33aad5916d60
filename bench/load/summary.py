"""The figures of a run, as text and as JSON. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.load import hear
from bench.load.holds import Hold
from bench.load.run import Attempt, Outcome

LATE_MS = 5.0
"""A generator later than this at one step in a hundred has not made the load asked for:
how late packets left is not in their delay, but the server had them in bursts."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How a figure is spread over what was measured; milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, figures: NDArray[np.float64]) -> "Spread | None":
        """Return the spread, None of nothing."""
        if not len(figures):
            return None
        p50, p95, p99 = np.percentile(figures, [50, 95, 99]).tolist()
        return cls(len(figures), p50, p95, p99, float(figures.max()))


@dataclass(frozen=True, slots=True)
class Heard:
    """What callers heard; as in `Summary`."""

    delay: Spread | None
    gaps: int
    longest_gap_ms: float

    @classmethod
    def of(cls, delays: hear.Delays, waits: hear.Waits) -> "Heard":
        """Return the figures of some rows."""
        gaps = int((waits[:, 1] > hear.GAP_MS).sum())
        longest_ms = float(waits[:, 1].max(initial=0.0))
        return cls(Spread.of(delays[:, 1]), gaps, longest_ms)


@dataclass(frozen=True, slots=True)
class Second:
    """One second of the run: its end, and the delay in it."""

    at_s: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures.

    Attributes:
        failures: How often each reason stood in the way.
        set_up: From the offer sent to the keys of the media.
        first_media: From the offer sent to the first packet received; in turns with
            an echo, but for the time until it was said and until it was said back.
        delay: Of sampled calls' packets whose sound was found again; None: it was not.
        returned: Packets received over frames sent that are said back.
        lost: Share of the server's packets that did not come.
        gaps: Waits over 40 ms while there was something to hear.
        cpu_ms: Of each process asked for, a call-second.
        own_cpu_ms: Of the generator, a call-second.
        others: How much of each core all other processes took, by where they ran last.
        late_ms: How late the generator's clock was, at 99 of 100 steps at most.
        holds: When the kernel held a core for itself, if that was heard within.
        apart: What was heard apart from these; None: there were none, or nothing else.
    """

    calls: int
    connected: int
    failures: dict[str, int]
    stopped: bool
    measured_s: float
    set_up: Spread | None
    first_media: Spread | None
    delay: Spread | None
    returned: float
    lost: float
    gaps: int
    longest_gap_ms: float
    cpu_ms: dict[int, float]
    own_cpu_ms: float
    others: dict[int, float]
    late_ms: float
    holds: list[Hold]
    apart: Heard | None
    seconds: list[Second]

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)


def summarize(outcome: Outcome) -> Summary:
    """Work the figures out."""
    up = [one for one in outcome.attempts if one.connected_ns]
    from_ns, to_ns = outcome.from_ns, outcome.to_ns
    measured_s = (to_ns - from_ns) / 1e9
    rows = _delays(outcome)
    delay = Spread.of(rows[:, 1])
    after_ns = outcome.options.echo_after_ns
    echo_ns = None if delay is None else round(delay.p50 * 1e6) + after_ns
    flows = [hear.flow(one.log, from_ns, to_ns, echo_ns) for one in up]
    waits = np.concatenate([np.zeros((0, 2)), *(one.waits for one in flows)])
    heard = Heard.of(rows, waits)
    holds = [
        one
        for one in outcome.holds
        if any(from_ns < end and start < to_ns for start, end in _heard(one, after_ns))
    ]
    received, expected = sum(f.received for f in flows), sum(f.expected for f in flows)
    said = from_ns - after_ns, to_ns - after_ns  # what is to come back within these
    sent = sum(
        hear.sent_between(one.log, *said, silence=not after_ns)  # no comfort noise then
        for one in up
    )
    call_s = measured_s * len(up) or 1.0  # of nothing, nothing was spent
    return Summary(
        calls=len(outcome.attempts),
        connected=len(up),
        failures=dict(Counter(a.failure for a in outcome.attempts if a.failure)),
        stopped=outcome.stopped,
        measured_s=measured_s,
        set_up=_since_offer([(a.offered_ns, a.connected_ns) for a in up]),
        first_media=_since_offer(
            [
                (a.offered_ns, a.log.arrived_ns[0] - _waited_ns(a, after_ns))
                for a in up
                if a.log.arrived_ns
            ]
        ),
        delay=delay,
        returned=received / sent if sent else 0.0,
        lost=1 - received / expected if expected else 0.0,
        gaps=heard.gaps,
        longest_gap_ms=heard.longest_gap_ms,
        cpu_ms={pid: 1000 * s / call_s for pid, s in outcome.cpu_s.items()},
        own_cpu_ms=1000 * outcome.own_cpu_s / call_s,
        others={c: s / (measured_s or 1.0) for c, s in outcome.others_s.items()},
        late_ms=outcome.late_ms,
        holds=holds,
        apart=_apart(rows, waits, holds, after_ns),
        seconds=_by_second(rows, from_ns / 1e9),
    )


def as_text(summary: Summary, names: dict[int, str] | None = None) -> str:
    """Return the figures for a reader."""
    s = summary
    lines = [
        f"connected       {s.connected} of {s.calls}",
        *(f"                {count} x {why}" for why, count in s.failures.items()),
        f"measured        {s.measured_s:.1f} s at full load"
        + (" (interrupted)" if s.stopped else ""),
        f"set-up, ms      {_spread(s.set_up)}",
        f"first media, ms {_spread(s.first_media)}",
        f"delay, ms       {_spread(s.delay, 'own voice not found in what came back')}",
        f"packets back    {100 * s.returned:.2f} % of those sent; "
        f"{100 * s.lost:.2f} % of the server's lost",
        f"gaps            {_gaps(s)}",
    ]
    if s.holds:
        longest = max(s.holds, key=lambda hold: hold.ms)
        lines.append(
            f"held            {len(s.holds)} x a core by the kernel, "
            f"{longest.ms:.0f} ms at most ({longest.by})"
        )
    if s.apart is not None:
        lines += [
            f" apart from that, delay {_spread(s.apart.delay)}",
            f"                  gaps  {_gaps(s.apart)}",
        ]
    for pid, cpu_ms in s.cpu_ms.items():
        name = (names or {}).get(pid, f"process {pid}")
        lines.append(f"CPU             {cpu_ms:.2f} ms a call-second: {name}")
    served_ms = sum(s.cpu_ms.values())
    share = f", {100 * s.own_cpu_ms / served_ms:.0f} % of that" if served_ms else ""
    lines.append(
        f"CPU             {s.own_cpu_ms:.2f} ms a call-second: this generator{share}"
    )
    if s.late_ms > LATE_MS:
        lines.append(
            f"WARNING         the generator was {s.late_ms:.1f} ms late at one step in "
            "a hundred: it had too little CPU, and sent in bursts"
        )
    return "\n".join(lines)


def _since_offer(moments: list[tuple[int, int]]) -> Spread | None:
    return Spread.of(np.array([(end - start) / 1e6 for start, end in moments]))


def _waited_ns(attempt: Attempt, after_ns: int) -> int:
    """Return how long a first sound waited for its turn: for caller and far end."""
    sent_ns = attempt.log.sent_ns
    if not after_ns or not sent_ns:
        return 0
    return after_ns + max(sent_ns[0] - attempt.connected_ns, 0)


def _delays(outcome: Outcome) -> hear.Delays:
    """Return the delays of the sampled calls' packets within what counts."""
    logs = [one.log for one in outcome.attempts if one.log.packets]
    after_ns = outcome.options.echo_after_ns
    found = [hear.delays(log, outcome.voice, after_ns) for log in logs]
    rows = np.concatenate([np.zeros((0, 2)), *found])
    inside = (rows[:, 0] >= outcome.from_ns / 1e9) & (rows[:, 0] < outcome.to_ns / 1e9)
    return np.asarray(rows[inside])


def _heard(hold: Hold, after_ns: int) -> list[tuple[int, int]]:
    """Return when a hold is heard: as it is, and as an echo repeats its delay."""
    return [(hold.from_ns + ns, hold.to_ns + ns) for ns in {0, after_ns}]


def _apart(
    delays: hear.Delays, waits: hear.Waits, holds: Sequence[Hold], after_ns: int
) -> Heard | None:
    """Return what was heard while nothing held a core, or had when that was said."""
    if not holds:
        return None
    times = [time for hold in holds for time in _heard(hold, after_ns)]
    heard = Heard.of(_without(delays, times), _without(waits, times))
    return heard if heard.delay is not None else None


def _without(
    rows: NDArray[np.float64], times: Sequence[tuple[int, int]]
) -> NDArray[np.float64]:
    """Return the rows of other times than these."""
    is_within = np.zeros(len(rows), bool)
    for from_ns, to_ns in times:
        is_within |= (rows[:, 0] >= from_ns / 1e9) & (rows[:, 0] < to_ns / 1e9)
    return np.asarray(rows[~is_within])


def _by_second(rows: hear.Delays, origin_s: float) -> list[Second]:
    of_second = (rows[:, 0] - origin_s).astype(int)
    seconds = []
    for second in np.unique(of_second).tolist():
        p50, p99 = np.percentile(rows[of_second == second, 1], [50, 99]).tolist()
        seconds.append(Second(float(second + 1), p50, p99))
    return seconds


def _gaps(heard: Summary | Heard) -> str:
    return (
        f"{heard.gaps} over {hear.GAP_MS:g} ms, longest {heard.longest_gap_ms:.0f} ms"
    )


def _spread(spread: Spread | None, nothing: str = "nothing came") -> str:
    if spread is None:
        return nothing
    return (
        f"p50 {spread.p50:.1f}  p95 {spread.p95:.1f}  p99 {spread.p99:.1f}  "
        f"max {spread.max:.1f}"
    )
