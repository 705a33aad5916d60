"""One session configuration laid over another: the rule by which updates merge."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
"""A JSON object."""


def overlaid(under: Mapping[str, Any], over: Mapping[str, Any]) -> Json:
    """Return a configuration with another laid over it; neither is altered.

    Objects merge, unless both name a `type` and it differs: what belongs to one kind of
    turn detection means nothing to the other. A list is one value, and so is null.
    """
    return {**under, **{key: _laid(under.get(key), over[key]) for key in over}}


def _laid(under: Any, over: Any) -> Any:
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    type_ = over.get("type")
    is_alike = type_ is None or under.get("type", type_) == type_
    return overlaid(under, over) if is_alike else over
