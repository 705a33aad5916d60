"""What waits for the edge after an interruption, and what settles it."""

import math

from relay.audio import Playback
from relay.interruptions import MAX_PENDING, Interruption, Interruptions
from relay.upstream.events import AudioBegan


def interrupted(
    talkspurt: int = 1, *, is_flushing: bool = True, settle_by_s: float = 1.0
) -> Interruption:
    """Return an interruption of one response."""
    response_id = f"resp_{talkspurt}"
    return Interruption(
        Playback(), (response_id,), response_id, talkspurt, is_flushing, settle_by_s
    )


def test_nothing_is_due_while_nothing_waits() -> None:
    pending = Interruptions()
    assert not pending
    assert pending.deadline == math.inf
    assert list(pending.take_due(1e9)) == []


def test_what_the_edge_leaves_unanswered_is_due_the_oldest_first() -> None:
    pending = Interruptions()
    first, second = interrupted(1, settle_by_s=1.0), interrupted(2, settle_by_s=2.0)
    pending.add(first)
    pending.add(second)
    assert pending.deadline == 1.0
    assert list(pending.take_due(1.0)) == [first]
    assert pending.deadline == 2.0
    assert list(pending.take_due(0.5)) == []


def test_an_answer_settles_all_that_were_flushed_and_only_those() -> None:
    pending = Interruptions()
    first, silent = interrupted(1), interrupted(2, is_flushing=False)
    last = interrupted(3)
    for one in (first, silent, last):
        pending.add(one)
    assert list(pending.take_flushed(3, 480)) == [first, last]
    assert list(pending.take_due(9.0)) == [silent]


def test_there_is_room_until_there_are_too_many() -> None:
    pending = Interruptions()
    for number in range(MAX_PENDING):
        assert list(pending.take_for_room()) == []
        pending.add(interrupted(number))
    assert [one.talkspurt for one in pending.take_for_room()] == [0]
    assert list(pending.take_for_room()) == []


def test_what_has_been_cancelled_is_not_cancelled_again() -> None:
    pending = Interruptions()
    pending.cancelled()
    pending.add(interrupted(1))
    pending.add(interrupted(2))
    pending.cancelled()
    assert [one.response_ids for one in pending.take_due(9.0)] == [("resp_1",), ()]


def test_a_part_announced_too_late_is_one_of_the_newest_unheard() -> None:
    pending = Interruptions()
    pending.began(AudioBegan("resp_1", "item_1", 0))
    pending.add(interrupted(1))
    pending.add(interrupted(2))
    pending.began(AudioBegan("resp_2", "item_2", 0))
    cuts = [[cut.item_id for cut in one.playback.cuts()] for one in pending.take_due(9)]
    assert cuts == [[], ["item_2"]]
