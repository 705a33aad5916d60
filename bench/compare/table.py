"""The comparison's table, in Markdown, as it goes into the README. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from bench.compare.rows import Result

HEAD = (
    "server",
    "Opus encoder",
    "CPU ms a call-second",
    "delay idle p50 / p99, ms",
    "calls a core, worked out",
    "calls a core, carried",
    "delay then p50 / p99, ms",
)


def markdown(limits: Mapping[str, float], results: Iterable[Result]) -> str:
    """Return the table; the limit's rows come last."""
    lines: list[Sequence[str]] = [HEAD, ("---",) * len(HEAD)]
    lines += [_row(result) for result in results]
    lines += [
        ("limit: C calls alone", codec, f"{ms:.1f}", "-", f"{1000 / ms:.0f}", "-", "-")
        for codec, ms in limits.items()
    ]
    return "\n".join(_line(cells) for cells in lines)


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


def _row(result: Result) -> Sequence[str]:
    if result.left_out:
        return (result.name, f"left out: {result.left_out}", *["-"] * 5)
    return (
        result.name,
        result.codec,
        _processes(result.cpu_ms),
        _pair(result.p50_ms, result.p99_ms),
        _number(result.promised),
        _number(result.held),
        _pair(result.loaded_p50_ms, result.loaded_p99_ms),
    )


def _processes(cpu_ms: Mapping[str, float]) -> str:
    if len(cpu_ms) == 1:
        return f"{next(iter(cpu_ms.values())):.1f}"
    return ", ".join(f"{name} {ms:.1f}" for name, ms in cpu_ms.items())


def _pair(p50: float | None, p99: float | None) -> str:
    return "-" if p50 is None or p99 is None else f"{p50:.1f} / {p99:.1f}"


def _number(number: float | None) -> str:
    return "-" if number is None else f"{number:.0f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
