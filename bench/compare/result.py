"""The figures of one row, as they are written and shown."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.compare import judge


@dataclass(frozen=True, slots=True)
class Trial:
    """What callers noticed in one run; None: their own voice was not found again.

    Delay and gaps are of the time in which the kernel held no core for itself.

    Attributes:
        returned: Packets received over frames sent.
        gaps: Waits over 40 ms while there was something to hear.
        longest_gap_ms: The longest of all such waits.
        media_p50_ms, media_p99_ms: From the offer sent to the first packet received.
        cpu_ms: Of the process that is compared, a call-second.
        eased: Whether this project's encoders were eased in it.
        slowness: Of its core meanwhile, times its best; None: it was not noted.
        disturbed: What else had a part in it, however often it was run; empty: nothing.
        holds: How often the kernel held a core for itself; None: it was not noted.
        all_p99_ms, all_gaps, all_longest_gap_ms: Of all the time; None: likewise.
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
    cpu_ms: float
    eased: bool
    slowness: float | None
    disturbed: str
    holds: int | None
    all_p99_ms: float | None
    all_gaps: int | None
    all_longest_gap_ms: float | None

    @classmethod
    def of(cls, run: Mapping[str, Any]) -> "Trial":
        """Take it from what `Stand.load` has returned."""
        heard = judge.heard(run)
        delay, media = heard["delay"] or {}, run["first_media"] or {}
        return cls(
            run["calls"],
            run["connected"],
            delay.get("p50"),
            delay.get("p99"),
            run["returned"],
            heard["gaps"],
            heard["longest_gap_ms"],
            media.get("p50"),
            media.get("p99"),
            run["server_ms"],
            run["eased"],
            run["slowness"],
            run["disturbed"],
            len(run["holds"]),
            (run["delay"] or {}).get("p99"),
            run["gaps"],
            run["longest_gap_ms"],
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One load that was tried in looking for what a core carries.

    Attributes:
        failure: Why it did not hold; empty: it did.
        share: How much of its core the server took; None: it did not come to that.
    """

    calls: int
    failure: str
    share: float | None


TRIALS = ("idle", "held", "at_ease", "lossy", "protecting", "burst")
"""Those of a result, in the order they are made."""


@dataclass(slots=True)
class Result:
    """One row's figures; None: not measured.

    Attributes:
        codec: How it encodes; this project's names are those of the limits, too.
        left_out: Why there are none.
        cpu_ms: By process, a call-second, at the highest load that held as it is set,
            with no encoder eased; the first is compared.
        promised: Calls a core, worked out from that.
        generator_ms: What the generator itself took for a call-second.
        idle: With a few calls.
        steps: The loads that were tried.
        held: With the most calls that one core did carry.
        at_ease: With 80 % of them.
        lossy: With a few calls, of whose packets 5 % are lost on the way up.
        protecting: With as many as at ease, of ours 10 % are lost on the way down: the
            callers' reports have a server protect its voice, if it can.
        burst: With a hundred offers in one second.
    """

    name: str
    codec: str
    left_out: str = ""
    cpu_ms: dict[str, float] = field(default_factory=dict)
    promised: float | None = None
    generator_ms: float | None = None
    idle: Trial | None = None
    steps: list[Step] = field(default_factory=list)
    held: Trial | None = None
    at_ease: Trial | None = None
    lossy: Trial | None = None
    protecting: Trial | None = None
    burst: Trial | None = None

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> "Result":
        """Take back what `as_json` has returned."""
        result = cls(**row)
        result.steps = [Step(**step) for step in row["steps"]]
        for name in TRIALS:
            trial = row[name]
            setattr(result, name, None if trial is None else Trial(**trial))
        return result

    @property
    def protection(self) -> float | None:
        """How many times as much CPU the server takes for it; None: not measured."""
        if self.protecting is None or self.at_ease is None or not self.at_ease.cpu_ms:
            return None
        return self.protecting.cpu_ms / self.at_ease.cpu_ms

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)

    @property
    def disturbed(self) -> dict[str, str]:
        """What else had a part in those of the runs shown that were disturbed."""
        shown = {name: getattr(self, name) for name in TRIALS}
        return {n: one.disturbed for n, one in shown.items() if one and one.disturbed}
