"""The spans and attributes of docs/observability.md are those of the code."""

import pathlib
import re

from relay import life, reception, turns
from transceiver import sight

ROOT = pathlib.Path(__file__).resolve().parents[1]
TEXT = ROOT.joinpath("docs/observability.md").read_text()
SPANS = {
    *(sight.CALL, sight.OFFER, sight.SESSION, sight.ICE, sight.DTLS),
    *(reception.SESSION, life.CONNECT, turns.TURN, turns.WAIT),
}


def rows() -> list[list[str]]:
    """Return the table of spans."""
    table = TEXT.partition("| span |")[2].partition("\n\n")[0]
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


def test_every_span_has_a_row() -> None:
    assert {row[0].strip("`") for row in rows()} == SPANS


def test_every_attribute_is_listed() -> None:
    told = {
        name
        for folder in ("relay", "transceiver")
        for path in ROOT.joinpath(folder).rglob("*.py")
        for name in re.findall(r'"tandem\.([a-z_.]+)":', path.read_text())
    }
    listed = {
        name
        for row in rows()
        for name in re.findall(r"`([a-z_.]+)`", row[4] if len(row) > 4 else "")
        if "." in name or name in {"tenant", "transport", "tool_calls"}
    }
    assert listed == told
