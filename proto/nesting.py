"""How deep JSON may be: what one service reads the other must be able to write."""

from collections.abc import Iterable
from typing import Any

MAX_DEPTH = 64
"""Levels of objects and arrays in one event or session. The API's own reach 12 (a
tool's schema excepted); the JSON writer used here stops at 254."""


def is_too_deep(value: Any) -> bool:
    """Return whether a value read from JSON has more than `MAX_DEPTH` levels."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _containers_in(node)]
        if not level:
            return False
    return True


def _containers_in(node: Any) -> Iterable[Any]:
    children = node.values() if isinstance(node, dict) else node
    return [child for child in children if isinstance(child, dict | list)]
