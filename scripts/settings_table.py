"""Print the README's table of settings, as the services declare them.

`python -m scripts.settings_table --write` puts it where the README has it.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from relay.engine.settings import EngineSettings
from relay.settings import RelaySettings
from runtime.settings import Row, rows
from transceiver.ingress.settings import IngressSettings
from transceiver.settings import TransceiverSettings

README = Path(__file__).resolve().parent.parent / "README.md"
SERVICES: dict[str, type[Any]] = {
    "transceiver": TransceiverSettings,
    "relay": RelaySettings,
    "engine": EngineSettings,
    "ingress": IngressSettings,
}
HEAD = "| variable | default | meaning | read by |\n|---|---|---|---|\n"


def markdown() -> str:
    """Return the table: a row a variable, in the order of the services."""
    return HEAD + "".join(
        f"| `{row.variable}` | {_code(row.default)} | {row.meaning} | {readers} |\n"
        for row, readers in _merged()
    )


def _merged() -> Iterator[tuple[Row, str]]:
    readers: dict[str, list[str]] = {}
    first: dict[str, Row] = {}
    for service, settings in SERVICES.items():
        for row in rows(settings):
            first.setdefault(row.variable, row)
            readers.setdefault(row.variable, []).append(service)
    for variable, row in first.items():
        yield row, ", ".join(readers[variable])


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def main() -> int:
    """Print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="change the README")
    if not parser.parse_args().write:
        print(markdown(), end="")
        return 0
    text = README.read_text()
    marker = re.search(r"<!-- settings: [^\n]*-->\n", text)
    if marker is None:
        sys.stderr.write("README.md has no line <!-- settings: ... -->\n")
        return 1
    rest = re.sub(r"\A\n*(\|[^\n]*\n)*\n*", "", text[marker.end() :])
    README.write_text(f"{text[: marker.end()]}\n{markdown()}\n{rest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
