"""The comparison's table, in Markdown, as it goes into the README. Pure."""

from collections.abc import Container, Iterable, Mapping, Sequence

from bench.compare.result import Result, Trial
from bench.compare.rows import BURST_CALLS

HEAD = (
    "server, one core",
    "Opus encoder",
    "CPU ms a call-second",
    "times its limit",
    "calls carried",
    "delay at 80 % of that, p50 / p99 ms",
    "at 5 % loss: answered, p50 / p99 ms",
)
MORE = (
    "server",
    "CPU by process, ms a call-second",
    "calls worked out from it",
    "delay idle p50 / p99, ms",
    "gaps over 40 ms at 80 % (longest, ms)",
    "10 % lost on the way down: times the CPU",
    "offer to first sound p50, ms",
)


def markdown(limits: Mapping[str, float], results: Iterable[Result]) -> str:
    """Return the table that the README shows; the limit's rows come last."""
    lines: list[Sequence[str]] = [_row(result, limits) for result in results]
    lines += [
        ("limit: C calls alone", codec, f"{ms:.1f}", "1", f"{1000 / ms:.0f}", "-", "-")
        for codec, ms in limits.items()
    ]
    return _table(HEAD, lines)


def more(results: Iterable[Result]) -> str:
    """Return the table of what else was measured."""
    return _table(MORE, [_more(row) for row in results if not row.left_out])


def ratios(limits: Mapping[str, float], results: Sequence[Result]) -> str:
    """Say of each row of this project how much less it costs than the others do."""
    own = {row.name for row in results if row.codec in limits}
    costs = {row.name: _spent(row) for row in results}
    lines = _times("", costs, own)
    told = {row.name: p.cpu_ms for row in results if (p := row.protecting) is not None}
    lines += _times(" while 10 % is lost on the way down", told, own)
    lines += [
        f"{BURST_CALLS} offers in a second: {burst.connected} served, first sound "
        f"after p50 {_ms(burst.media_p50_ms)}, p99 {_ms(burst.media_p99_ms)} ms, "
        f"{row.name}"
        for row in results
        if (burst := row.burst) is not None
    ]
    return "\n".join(lines)


def _times(when: str, costs: Mapping[str, float], own: Container[str]) -> list[str]:
    lines = []
    for name in costs:
        if name not in own or not costs[name]:
            continue
        others = ", ".join(
            f"{other} {ms / costs[name]:.1f}"
            for other, ms in costs.items()
            if ms and other not in own
        )
        lines.append(
            f"Times the CPU of {name}{when}: {others or 'nobody else was run'}"
        )
    return lines


def searched(results: Iterable[Result]) -> str:
    """Say which loads were tried, why some were not carried, and what to doubt."""
    lines = []
    for result in results:
        for step in result.steps:
            share = "" if step.share is None else f" at {100 * step.share:.0f} %"
            found = f"not carried, {step.failure}" if step.failure else "carried"
            lines.append(f"{result.name}, {step.calls} calls: {found}{share} of a core")
        lines += [
            f"{result.name}, {name.replace('_', ' ')}: {why}"
            for name, why in result.disturbed.items()
        ]
    return "\n".join(lines)


def held(results: Iterable[Result]) -> str:
    """Say what was heard at 80 % with the time in which the kernel held a core."""
    return "\n".join(
        f"{result.name} at 80 %: the kernel held a core {ease.holds} x, which is left "
        f"out above; with it p99 {_ms(ease.all_p99_ms)} ms, {ease.all_gaps} gaps "
        f"({_ms(ease.all_longest_gap_ms)} ms)"
        for result in results
        if (ease := result.at_ease) is not None and ease.holds
    )


def generator(results: Iterable[Result]) -> str:
    """Say what the load itself cost beside each server, so that it can be trusted."""
    shares = []
    for result in results:
        served_ms, own_ms = sum(result.cpu_ms.values()), result.generator_ms
        if served_ms and own_ms is not None:
            share = 100 * own_ms / served_ms
            shares.append(f"{result.name} {own_ms:.1f} ({share:.0f} %)")
    head = "The generator's own CPU, ms a call-second (of the server's)"
    return f"{head}: {', '.join(shares)}"


def _row(result: Result, limits: Mapping[str, float]) -> Sequence[str]:
    if result.left_out:
        return (result.name, f"left out: {result.left_out}", *["-"] * 5)
    limit_ms, lossy = limits.get(result.codec), result.lossy
    return (
        result.name,
        result.codec,
        f"{_spent(result):.1f}",
        "-" if limit_ms is None else f"{_spent(result) / limit_ms:.2f}",
        _carried(result.held),
        _delay(result.at_ease),
        "-" if lossy is None else f"{100 * lossy.returned:.0f} %; {_delay(lossy)}",
    )


def _more(result: Result) -> Sequence[str]:
    ease, idle = result.at_ease, result.idle
    return (
        result.name,
        ", ".join(f"{name} {ms:.1f}" for name, ms in result.cpu_ms.items()),
        _number(result.promised),
        _delay(idle),
        "-" if ease is None else f"{ease.gaps} ({ease.longest_gap_ms:.0f})",
        "-" if result.protection is None else f"{result.protection:.2f}",
        "-" if idle is None else _ms(idle.media_p50_ms),
    )


def _carried(held: Trial | None) -> str:
    if held is None:
        return "-"
    return f"{held.calls}, eased" if held.eased else str(held.calls)


def _spent(result: Result) -> float:
    """Return the CPU of the process that is compared, of a call-second."""
    return next(iter(result.cpu_ms.values()), 0.0)


def _delay(trial: Trial | None) -> str:
    if trial is None or trial.p50_ms is None or trial.p99_ms is None:
        return "-"
    return f"{trial.p50_ms:.1f} / {trial.p99_ms:.1f}"


def _ms(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.0f}"


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:.0f}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    return "\n".join(map(_line, (head, ("---",) * len(head), *lines)))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
