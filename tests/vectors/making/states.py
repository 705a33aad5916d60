"""PROTOCOL.md 5 and 9: what each input makes of each state."""

import enum
from collections.abc import Mapping
from typing import Any, TypeVar

from proto import link, session

State = TypeVar("State", bound=enum.Enum)
Input = TypeVar("Input", bound=enum.Enum)


def vectors() -> dict[str, Any]:
    return {
        "session": _table(session.SUCCESSORS),
        "link": _table(link.SUCCESSORS),
    }


def _table(
    successors: Mapping[State, Mapping[Input, State]],
) -> dict[str, dict[str, str]]:
    return {
        state.name: {how.name: successor.name for how, successor in row.items()}
        for state, row in successors.items()
    }
