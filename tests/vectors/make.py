"""Write the vectors anew: `python -m tests.vectors.make`. Equal runs, equal bytes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.vectors.making import (
    audio,
    flush,
    handshake,
    key_schedule,
    messages,
    payload,
    reliable,
    seal,
    states,
    tunnel,
)

FOLDER: Final = Path(__file__).parent

SECTIONS: Final = {
    "key_schedule": key_schedule.vectors,
    "handshake": handshake.vectors,
    "seal": seal.vectors,
    "messages": messages.vectors,
    "states": states.vectors,
    "payload": payload.vectors,
    "audio": audio.vectors,
    "reliable": reliable.vectors,
    "flush": flush.vectors,
    "tunnel": tunnel.vectors,
}
"""What makes each file, by its name."""


def text(section: str) -> str:
    """Return a file's text as it must be."""
    return json.dumps(SECTIONS[section](), indent=1) + "\n"


def read(section: str) -> Mapping[str, Any]:
    """Return what the committed file says."""
    return json.loads((FOLDER / f"{section}.json").read_text())  # type: ignore[no-any-return]  # it is checked by use


if __name__ == "__main__":
    for section in SECTIONS:
        (FOLDER / f"{section}.json").write_text(text(section))
