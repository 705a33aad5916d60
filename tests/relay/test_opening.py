"""What a client is told first, in every order of an upstream's first events."""

from typing import Any

import orjson
import pytest

from proto.request import SessionRequest
from relay.opening import MAX_HELD, Opening, first_updates
from relay.upstream import protocol
from relay.upstream.protocol import LOCK_ID

DEFAULT = {"id": "sess_1", "voice": "alloy", "expires_at": 1}
WISHED = {"id": "sess_1", "voice": "marin", "tools": []}


def event(type_: str, **fields: Any) -> bytes:
    return orjson.dumps({"type": type_, "event_id": type_, **fields})


CREATED = event("session.created", session=DEFAULT)
UPDATED = event("session.updated", session=WISHED)
LATER = event("session.updated", session={"voice": "ash"})
ERROR = event("error", error={"code": "invalid_value"})
OTHER = event("conversation.created", conversation={})
EFFECTIVE = event(
    "session.created",
    session={"id": "sess_1", "voice": "marin", "expires_at": 1, "tools": []},
)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([CREATED], []),
        ([CREATED, UPDATED], [EFFECTIVE]),
        ([CREATED, UPDATED, LATER], [EFFECTIVE, LATER]),
        ([CREATED, OTHER, UPDATED], [EFFECTIVE, OTHER]),
        ([CREATED, UPDATED, ERROR], [EFFECTIVE, ERROR]),
        ([CREATED, ERROR], [CREATED, ERROR]),
        ([CREATED, ERROR, LATER], [CREATED, ERROR, LATER]),
        ([CREATED, OTHER, ERROR, LATER], [CREATED, OTHER, ERROR, LATER]),
        ([ERROR], [ERROR]),
        ([ERROR, CREATED, UPDATED], [ERROR, EFFECTIVE]),
        ([OTHER, CREATED, UPDATED], [OTHER, EFFECTIVE]),
        ([UPDATED, CREATED, LATER], [UPDATED, CREATED, LATER]),
        ([CREATED, UPDATED, CREATED, LATER], [EFFECTIVE, CREATED, LATER]),
        ([CREATED, *[OTHER] * MAX_HELD], []),
        (
            [CREATED, *[OTHER] * (MAX_HELD + 1), LATER],
            [CREATED, *[OTHER] * (MAX_HELD + 1), LATER],
        ),
    ],
)
def test_the_client_is_told(said: list[bytes], told: list[bytes]) -> None:
    opening = Opening(1)
    assert [out for message in said for out in opening.take(message)] == told


def test_an_upstream_that_never_answers_is_not_waited_for() -> None:
    opening = Opening(1)
    assert list(opening.take(CREATED)) == []
    assert list(opening.take(OTHER)) == []
    assert list(opening.give_up()) == [CREATED, OTHER]
    assert list(opening.give_up()) == []
    assert list(opening.take(LATER)) == [LATER]


def test_two_updates_are_answered_by_one_session_created() -> None:
    opening = Opening(2)
    assert list(opening.take(CREATED)) == []
    assert list(opening.take(event("session.updated", session={"a": 1}))) == []
    (created,) = opening.take(UPDATED)
    assert orjson.loads(created)["session"] == {**DEFAULT, "a": 1, **WISHED}
    assert list(opening.take(LATER)) == [LATER]


def test_a_refused_second_update_is_told_after_what_holds() -> None:
    opening = Opening(2)
    assert list(opening.take(CREATED)) == []
    assert list(opening.take(UPDATED)) == []
    assert list(opening.take(ERROR)) == [EFFECTIVE, ERROR]


def test_nothing_is_held_back_where_nothing_was_asked_for() -> None:
    assert list(Opening(0).take(CREATED)) == [CREATED]


@pytest.mark.parametrize("session", [None, [], {"a": "DEEP"}])
def test_a_strange_announcement_passes_as_it_is(session: object) -> None:
    deep = b"[" * 300 + b"]" * 300
    strange = event("session.updated", session=session).replace(b'"DEEP"', deep)
    opening = Opening(1)
    assert list(opening.take(CREATED)) == []
    assert list(opening.take(strange)) == [CREATED, strange]


LOCK: dict[str, Any] = {"type": "realtime", "instructions": "Sell tea."}


def asked(session: dict[str, Any] | None, bound: dict[str, Any] | None) -> list[Any]:
    request = SessionRequest(call_id="c", tenant="t", session=session, bound=bound)
    return [orjson.loads(u) for u in first_updates(request, protocol.direct_update)]


def test_what_is_locked_is_asked_for_apart_so_that_no_wish_can_spoil_it() -> None:
    wished = {"instructions": "Sell coffee.", "unknown": 1}
    lock, wishes = asked(wished, LOCK)
    assert (lock["event_id"], lock["session"]) == (LOCK_ID, LOCK)
    assert "event_id" not in wishes
    assert wishes["session"] == {**LOCK, "unknown": 1}


@pytest.mark.parametrize("wished", [None, {}, {"instructions": "Sell coffee."}])
def test_wishes_that_add_nothing_to_what_is_locked_are_not_told(wished: Any) -> None:
    assert [event["session"] for event in asked(wished, LOCK)] == [LOCK]


def test_wishes_are_one_update_where_nothing_is_locked() -> None:
    (update,) = asked({"instructions": "x"}, None)
    assert update["session"] == {"type": "realtime", "instructions": "x"}
    assert asked(None, None) == []
