"""The tables, in Markdown: one for each direction. Pure."""

from collections.abc import Sequence

from bench.quality.result import WORD_ERROR, Result


def markdown(results: Sequence[Result]) -> str:
    """Return both tables; a row in the weathers one after the other."""
    return "\n\n".join(
        f"What {hearer} hears\n\n{_table([r for r in results if r.direction == way])}"
        for way, hearer in (("downlink", "the caller"), ("uplink", "the model"))
    )


def _table(results: Sequence[Result]) -> str:
    if not results:
        return "not measured"
    names = list(results[0].scores)
    head = ["", "Opus encoder", "encode us", "wire kbit/s", "loss", *names]
    rows = [head, ["---"] * len(head)]
    previous = ""
    for result in results:
        is_first, previous = result.name != previous, result.name
        rows.append(
            [
                result.name if is_first else "",
                result.codec if is_first else "",
                _cost(result.encode_us) if is_first else "",
                f"{result.wire_kbps:.0f}",
                result.weather,
                *(_score(name, result.scores[name]) for name in names),
            ]
        )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _cost(encode_us: float | None) -> str:
    return "-" if encode_us is None else f"{encode_us:.0f}"


def _score(name: str, value: float) -> str:
    return f"{value:.1f} %" if name == WORD_ERROR else f"{value:.3f}"
