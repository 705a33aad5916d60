"""What a client is told first, in every order of an upstream's first events."""

from typing import Any

import orjson
import pytest

from relay.opening import MAX_HELD, Opening

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
    opening = Opening()
    assert [out for message in said for out in opening.take(message)] == told


def test_an_upstream_that_never_answers_is_not_waited_for() -> None:
    opening = Opening()
    assert list(opening.take(CREATED)) == []
    assert list(opening.take(OTHER)) == []
    assert list(opening.give_up()) == [CREATED, OTHER]
    assert list(opening.give_up()) == []
    assert list(opening.take(LATER)) == [LATER]
