"""What was measured, and what of the claims holds. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.quality.rows import (
    DEFAULT,
    DEFAULT_WITHOUT_RED,
    LIKE_FOR_LIKE,
    PLAIN,
    PLAIN_SILENT,
)

WORD_ERROR = "word error"
"""Percent; lower is better. All other scores: higher is better."""


@dataclass
class Result:
    """One row in one weather.

    Attributes:
        encode_us: CPU for a frame of 20 ms; None: not ours.
        scores: Means over the sentences.
    """

    direction: str
    name: str
    codec: str
    weather: str
    encode_us: float | None
    wire_kbps: float
    scores: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


CLAIMS = (
    ("downlink", DEFAULT, LIKE_FOR_LIKE),
    ("downlink", DEFAULT_WITHOUT_RED, LIKE_FOR_LIKE),
    ("downlink", DEFAULT, PLAIN),
    ("uplink", DEFAULT_WITHOUT_RED, PLAIN),
    ("uplink", DEFAULT_WITHOUT_RED, PLAIN_SILENT),
    ("uplink", DEFAULT, PLAIN_SILENT),
)
"""Direction, who is said to be better, and than whom."""


def margins(results: Iterable[Result]) -> list[str]:
    """Return for each claim and weather by how much the one is better; minus: worse."""
    by_key = {(r.direction, r.name, r.weather): r for r in results}
    weathers = list(dict.fromkeys(weather for _, _, weather in by_key))
    lines = []
    for direction, better, worse in CLAIMS:
        lines.append(f"{direction}: {better} against {worse}")
        for weather in weathers:
            one = by_key[direction, better, weather].scores
            other = by_key[direction, worse, weather].scores
            said = ", ".join(f"{name} {gain:+.3f}" for name, gain in _gains(one, other))
            lines.append(f"  {weather}: {said}")
    return lines


def _gains(
    one: Mapping[str, float], other: Mapping[str, float]
) -> list[tuple[str, float]]:
    signs = {name: -1 if name == WORD_ERROR else 1 for name in one}
    return [
        (name, round(sign * (one[name] - other[name]), 3) + 0.0)
        for name, sign in signs.items()
    ]
