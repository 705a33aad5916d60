"""One target under atheris: `python -m tests.fuzz.guided TARGET [libFuzzer options]`.

Whatever the target imports is instrumented, so what it loads is imported only here.
"""

import importlib
import sys
from typing import Any

INSTRUMENTED = ["proto", "relay", "transceiver", "tests", "aiortc.sdp"]


def main(arguments: list[str]) -> None:
    name, *options = arguments
    atheris: Any = importlib.import_module(
        "atheris"
    )  # not there where types are checked
    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415  # to be instrumented
    atheris.Setup(["guided", *options], TARGETS[name].make())
    atheris.Fuzz()


main(sys.argv[1:])
