"""What a server fixed of a session, and its client cannot change.

A client is not told off for trying: what it says of a bound field is replaced by what
holds, and `session.updated` shows the truth. Fields that the server left open stay the
client's.
"""

from collections.abc import Mapping
from typing import Any

from relay.within import Json

_NAMESPACES = frozenset({"audio", "input", "output"})
"""Objects of a session that only group its fields; each API merges them deeply."""


class Bound:
    """The bound part of one session; `None` binds nothing, ever."""

    def __init__(self, config: Mapping[str, Any] | None) -> None:
        self._config = config

    @property
    def is_locked(self) -> bool:
        """Something is bound, or may come to be."""
        return self._config is not None

    def applied_to_session(self, update: Json) -> Json:
        """Return the session of a `session.update` as it may travel.

        An object that holds bound fields gets all of them, because an upstream may take
        it for the whole value (`turn_detection`); a list is one value, and so is null.
        Fields that the update does not name are not added; if it names no bound one,
        the update itself is returned.
        """
        return _held(update, self._config) if self._config else update

    def applied_to_response(self, response: Json) -> Json:
        """Return the `response` of a `response.create` as it may travel.

        Bound fields are left out, so that those of the session hold: they have the same
        names in both. If there are none, the response itself is returned.
        """
        return _freed(response, self._config) if self._config else response

    def learn(self, update: Mapping[str, Any]) -> None:
        """Follow the server's own `session.update`: what it sets is bound from now on.

        Nothing is learnt where nothing was bound to begin with (`None`).
        """
        if self._config is not None:
            self._config = _grown(self._config, update)


def _held(theirs: Json, bound: Mapping[str, Any]) -> Json:
    """Replace what is bound in an object that only groups fields."""
    held = {
        key: _value(key, theirs[key], value)
        for key, value in bound.items()
        if key in theirs
    }
    is_same = all(value is theirs[key] for key, value in held.items())
    return theirs if is_same else theirs | held


def _value(key: str, theirs: Any, bound: Any) -> Any:
    if key in _NAMESPACES and isinstance(theirs, dict) and isinstance(bound, dict):
        return _held(theirs, bound)
    return _overlaid(theirs, bound)


def _overlaid(theirs: Any, bound: Any) -> Any:
    """Lay a bound value over another; objects of one type merge."""
    if not _are_alike(theirs, bound):
        return bound
    return theirs | {
        key: _overlaid(theirs.get(key), value) for key, value in bound.items()
    }


def _freed(theirs: Json, bound: Mapping[str, Any]) -> Json:
    """Leave out what is bound in an object that only groups fields."""
    kept = {}
    for key, value in theirs.items():
        held = bound.get(key)
        if key not in bound:
            kept[key] = value
        elif key in _NAMESPACES and isinstance(value, dict) and isinstance(held, dict):
            kept[key] = _freed(value, held)
    is_same = len(kept) == len(theirs) and all(
        value is theirs[key] for key, value in kept.items()
    )
    return theirs if is_same else kept


def _grown(bound: Mapping[str, Any], update: Mapping[str, Any]) -> Json:
    grown = dict(bound)
    for key, value in update.items():
        before: Any = bound.get(key)
        grown[key] = _grown(before, value) if _are_alike(value, before) else value
    return grown


def _are_alike(one: Any, bound: Any) -> bool:
    """Return whether both are objects, and not of different `type`."""
    if not isinstance(one, dict) or not isinstance(bound, dict):
        return False
    type_ = bound.get("type")
    return type_ is None or bool(one.get("type", type_) == type_)
