"""A session's first words: the relay's updates, and one `session.created` in answer.

The relay opens each session with an update of its own, so an upstream says first what
its defaults are, then what holds. A client that sent its wishes with its offer expects
what holds at once, and never asked for an update.

What a client secret locks goes in an update of its own, ahead of what the client
wishes: an upstream refuses an update as a whole, so a client that wished nonsense would
be rid of the lock. If the lock itself is refused the session ends (see `inlet`).

    state      event             next   passed on
    UNOPENED   session.created   HELD   nothing yet
    UNOPENED   session.updated   OPEN   the event
    HELD       session.updated   HELD   nothing yet, if one more update is unanswered
    HELD       session.updated   OPEN   session.created with that session; what was held
    HELD       error             OPEN   all that was held, as it was; the error
    HELD       any other         HELD   nothing yet; the ninth: as for an error
    any        (`give_up`)       OPEN   all that was held, as it was
    (each pair not listed: no change, the event)

An upstream answers events in their order, and the relay's updates are the first it
gets, so the first answers are the answers to those.
"""

import enum
from collections.abc import Callable, Sequence

import orjson

from proto.overlay import overlaid
from proto.request import SessionRequest
from relay.client.bound import Bound
from relay.upstream.protocol import LOCK_ID

MAX_HELD = 8
"""Events held after `session.created`; one more lets all go. OpenAI announces the
conversation there, and nothing else before it has answered."""

TIMEOUT_S = 2.0
"""Seconds after connecting by which an upstream has answered, or never will."""


def first_updates(
    request: SessionRequest, make: Callable[..., bytes | None]
) -> Sequence[bytes]:
    """Return the updates that open a session.

    Args:
        request: What its client wishes; sessions in GA shape.
        make: `media_update` or `direct_update` of the protocol.
    """
    wished, lock = request.session, request.bound
    if lock is None:
        updates = [make(wished)]
    else:
        both = overlaid(Bound(lock).applied_to_session(dict(wished or {})), lock)
        updates = [make(lock, event_id=LOCK_ID)]
        if both != lock:
            updates.append(make(both))
    return [update for update in updates if update is not None]


class _State(enum.Enum):
    UNOPENED = enum.auto()
    HELD = enum.auto()
    OPEN = enum.auto()


class Opening:
    """Holds an upstream's first events back until it has taken the relay's updates.

    Args:
        updates: How many there are; 0: nothing is held back.
    """

    def __init__(self, updates: int) -> None:
        self._state = _State.UNOPENED if updates else _State.OPEN
        self._unanswered = updates
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
            return self._take_answer(message)
        if type_ == "error" or len(self._held) > MAX_HELD:
            return (*self.give_up(), message)
        self._held.append(message)
        return ()

    def _take_answer(self, updated: bytes) -> Sequence[bytes]:
        created = _merged(self._held[0], updated)
        if created is None:
            return (*self.give_up(), updated)
        self._held[0] = created
        self._unanswered -= 1
        return () if self._unanswered else self.give_up()


def _merged(created: bytes, updated: bytes) -> bytes | None:
    """Return the one event with the session of the other; None: it has no such."""
    event, later = orjson.loads(created), orjson.loads(updated)
    try:
        event["session"] = {**event["session"], **later["session"]}
        return orjson.dumps(event)
    except (KeyError, TypeError):  # JSONEncodeError too: it reads deeper than it writes
        return None
