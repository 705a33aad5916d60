"""A session's first words: one `session.created` that tells what holds.

The relay opens each session with an update of its own, so an upstream says first what
its defaults are, then what holds. A client that sent its wishes with its offer expects
what holds at once, and never asked for an update.

    state      event             next   passed on
    UNOPENED   session.created   HELD   nothing yet
    UNOPENED   session.updated   OPEN   the event
    HELD       session.updated   OPEN   session.created with that session; what was held
    HELD       error             OPEN   all that was held, as it was; the error
    HELD       any other         HELD   nothing yet; the ninth: as for an error
    any        (`give_up`)       OPEN   all that was held, as it was
    (each pair not listed: no change, the event)

An upstream answers events in their order, and the relay's update is the first it gets,
so the first answer is the answer to that one.
"""

import enum
from collections.abc import Sequence

import orjson

MAX_HELD = 8
"""Events held after `session.created`; one more lets all go. OpenAI announces the
conversation there, and nothing else before it has answered."""

TIMEOUT_S = 2.0
"""Seconds after connecting by which an upstream has answered, or never will."""


class _State(enum.Enum):
    UNOPENED = enum.auto()
    HELD = enum.auto()
    OPEN = enum.auto()


class Opening:
    """Holds an upstream's first events back until it has taken the relay's update."""

    def __init__(self) -> None:
        self._state = _State.UNOPENED
        self._held: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Nothing is held back any more."""
        return self._state is _State.OPEN

    def take(self, message: bytes) -> Sequence[bytes]:
        """Take a well-formed event for the client; return what may pass on now."""
        if self._state is _State.OPEN:
            return (message,)
        type_ = orjson.loads(message)["type"]
        if self._state is _State.HELD:
            return self._take_held(type_, message)
        if type_ == "session.created":
            self._state = _State.HELD
            self._held.append(message)
            return ()
        if type_ == "session.updated":
            self._state = _State.OPEN
        return (message,)

    def give_up(self) -> Sequence[bytes]:
        """Wait no longer; return what was held."""
        self._state = _State.OPEN
        held, self._held = self._held, []
        return held

    def _take_held(self, type_: str, message: bytes) -> Sequence[bytes]:
        if type_ == "session.updated":
            created, *others = self.give_up()
            return (_merged(created, message), *others)
        if type_ == "error" or len(self._held) > MAX_HELD:
            return (*self.give_up(), message)
        self._held.append(message)
        return ()


def _merged(created: bytes, updated: bytes) -> bytes:
    """Return the one event with the session of the other."""
    event = orjson.loads(created)
    event["session"] = {**event["session"], **orjson.loads(updated)["session"]}
    return orjson.dumps(event)
