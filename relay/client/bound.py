"""What a server fixed of a session, and its client cannot change.

A client is not told off for trying: what it says of a bound field is replaced by what
holds, and `session.updated` shows the truth. Fields that the server left open stay the
client's.
"""

from collections.abc import Mapping
from typing import Any

from proto.overlay import overlaid
from relay.client.within import Json

MAX_UNANSWERED = 64
"""The server's latest updates that can still be forgotten; of more, the oldest counts
as taken. As many more than any server has under way."""

_NAMESPACES = frozenset({"audio", "input", "output"})
"""Objects of a session that only group its fields; each API merges them deeply."""

_PROMPT = "prompt"
"""A template in the API's store, which fills in any field: where one is bound it is
bound too, as a whole, if only to there being none."""


class Bound:
    """The bound part of one session; `None` binds nothing, ever."""

    def __init__(self, config: Mapping[str, Any] | None) -> None:
        self._config = config
        self._taken: Mapping[str, Any] = config or {}
        """What of it can be forgotten no more."""
        self._unanswered: list[tuple[str | None, Mapping[str, Any]]] = []

    @property
    def is_locked(self) -> bool:
        """Something is bound, or may come to be."""
        return self._config is not None

    def binds(self, field: str) -> bool:
        """Return whether a field of the session is bound."""
        return field in (self._config or {})

    def applied_to_session(self, update: Json) -> Json:
        """Return the session of a `session.update` as it may travel.

        An object that holds bound fields gets all of them, because an upstream may take
        it for the whole value (`turn_detection`); a list is one value, and so is null.
        Fields that the update does not name are not added; if it names no bound one,
        the update itself is returned.
        """
        if not self._config:
            return update
        if _PROMPT not in self._config:
            update = _without_prompt(update)
        return _held(update, self._config)

    def applied_to_response(self, response: Json) -> Json:
        """Return the `response` of a `response.create` as it may travel.

        Bound fields are left out, so that those of the session hold: they have the same
        names in both. If there are none, the response itself is returned.
        """
        if not self._config:
            return response
        return _freed(_without_prompt(response), self._config)

    def learn(self, update: Mapping[str, Any], event_id: str | None) -> None:
        """Follow the server's own `session.update`: what it sets is bound from now on.

        At once, so that no update of the client's gets in between. Nothing is learnt
        where nothing was bound to begin with (`None`).
        """
        if self._config is None:
            return
        self._config = overlaid(self._config, update)
        self._unanswered.append((event_id, update))
        if len(self._unanswered) > MAX_UNANSWERED:
            _, oldest = self._unanswered.pop(0)
            self._taken = overlaid(self._taken, oldest)

    def forget(self, event_id: str) -> None:
        """Take back what was learnt from an update that the upstream has refused."""
        before = len(self._unanswered)
        self._unanswered = [one for one in self._unanswered if one[0] != event_id]
        if len(self._unanswered) < before:
            self._config = self._taken
            for _, update in self._unanswered:
                self._config = overlaid(self._config, update)


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
    if key == _PROMPT:
        return bound
    if key in _NAMESPACES and isinstance(theirs, dict) and isinstance(bound, dict):
        return _held(theirs, bound)
    return overlaid({key: theirs}, {key: bound})[key]


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


def _without_prompt(theirs: Json) -> Json:
    if _PROMPT not in theirs:
        return theirs
    return {key: value for key, value in theirs.items() if key != _PROMPT}
