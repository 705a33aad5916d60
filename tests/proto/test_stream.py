import math
import random

import pytest
from hypothesis import given, settings, strategies as st

from proto.errors import Backlogged, RemoteError
from proto.messages import MAX_FRAGMENT_BYTES, MAX_MESSAGE_BYTES, Ack, Carried, Fragment
from proto.sharing import INITIAL_WINDOW, MIN_WINDOW, Sharing
from proto.stream import (
    LONGEST_BYTES,
    MAX_IN_FLIGHT,
    MAX_QUEUED_BYTES,
    MAX_QUEUED_FRAGMENTS,
    STUCK_S,
    WINDOW,
    Inbox,
    Outbox,
)

RTO_S = 0.1


def take_all(outbox: Outbox, now: float = 0.0) -> list[Fragment]:
    fragments = []
    while outbox.is_ready:
        fragments.append(outbox.take(now))
    return fragments


@settings(deadline=None)  # how long one takes is the machine's business
@given(
    st.lists(st.integers(0, 5000), max_size=12),
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.1, 0.5]),
)
def test_messages_arrive_once_in_order_over_any_loss(
    sizes: list[int], seed: int, loss: float
) -> None:
    rng = random.Random(seed)
    messages = [rng.randbytes(size) for size in sizes]
    outbox, inbox = Outbox(1), Inbox(1)
    for message in messages:
        outbox.put(Carried.EVENT, message)
    arrived: list[tuple[int, bytes]] = []
    now = 0.0
    while not outbox.is_empty:
        now = max(now + 0.01, min(outbox.timeout_at(RTO_S), now + 10))
        outbox.expire(now, RTO_S)
        fragments = take_all(outbox, now)
        rng.shuffle(fragments)
        for fragment in fragments:
            for _ in range(rng.choice((1, 1, 2))):
                if rng.random() >= loss:
                    arrived += inbox.receive(fragment)
                    if rng.random() >= loss:
                        outbox.acknowledge(inbox.ack(), now)
    assert arrived == [(Carried.EVENT, message) for message in messages]
    assert outbox.queued_bytes == 0
    assert outbox.timeout_at(RTO_S) == math.inf


def test_three_later_acknowledgements_show_a_loss_at_once() -> None:
    outbox, inbox = Outbox(1), Inbox(1)
    outbox.put(Carried.EVENT, bytes(6 * MAX_FRAGMENT_BYTES))
    fragments = take_all(outbox)
    lost = 0
    for fragment in fragments[1:4]:
        inbox.receive(fragment)
        lost = outbox.acknowledge(inbox.ack(), 0.0).lost
    assert lost == 1
    assert outbox.take(0.0) == fragments[0]


def test_timeouts_double() -> None:
    outbox = Outbox(1)
    outbox.put(Carried.EVENT, b"x")
    now, pauses = 0.0, []
    for _ in range(7):
        outbox.take(now)
        pauses.append(round((outbox.timeout_at(RTO_S) - now) / RTO_S))
        now = outbox.timeout_at(RTO_S)
        assert outbox.expire(now, RTO_S) == 1
    assert pauses == [1, 2, 4, 8, 16, 32, 32]


def test_a_session_that_is_never_acknowledged_is_stuck() -> None:
    outbox = Outbox(1)
    outbox.put(Carried.EVENT, b"x")
    now = 0.0
    while now < STUCK_S:
        assert not outbox.is_stuck(now)
        outbox.take(now)
        now = outbox.timeout_at(RTO_S)
        outbox.expire(now, RTO_S)
    assert outbox.is_stuck(now)


def test_the_queue_is_bounded_in_bytes_and_in_messages() -> None:
    outbox = Outbox(1)
    for _ in range(MAX_QUEUED_BYTES // MAX_MESSAGE_BYTES):
        outbox.check_room(MAX_MESSAGE_BYTES)
        outbox.put(Carried.EVENT, bytes(MAX_MESSAGE_BYTES))
    with pytest.raises(Backlogged):
        outbox.check_room(1)
    many = Outbox(2)
    for _ in range(MAX_QUEUED_FRAGMENTS):
        many.check_room(1)
        many.put(Carried.EVENT, b"x")
    with pytest.raises(Backlogged):
        many.check_room(1)


def test_an_acknowledgement_of_the_future_is_refused() -> None:
    outbox = Outbox(1)
    outbox.put(Carried.EVENT, b"x")
    take_all(outbox)
    for ack in (Ack(1, 3, 300, ()), Ack(1, 1, 300, (2, 3))):
        with pytest.raises(RemoteError):
            outbox.acknowledge(ack, 0.0)


def test_the_sender_keeps_to_the_window_whatever_it_is_told() -> None:
    outbox = Outbox(1)
    outbox.put(Carried.EVENT, bytes(WINDOW * 2 * MAX_FRAGMENT_BYTES))
    outbox.acknowledge(Ack(1, 1, 1 << 60, ()), 0.0)
    sent = 0
    while outbox.is_ready:
        sent = outbox.take(0.0).seq
        outbox.acknowledge(Ack(1, 1, 1 << 60, ((2, sent + 1) if sent > 1 else ())), 0.0)
    assert sent <= WINDOW


def test_a_receiver_holds_no_more_than_its_window() -> None:
    inbox = Inbox(1)
    with pytest.raises(RemoteError):
        inbox.receive(Fragment(1, 1 + WINDOW, Carried.EVENT, True, b""))
    assert inbox.receive(Fragment(1, WINDOW, Carried.EVENT, True, b"")) == []


def test_a_message_longer_than_allowed_is_refused() -> None:
    inbox = Inbox(1)
    fits = MAX_MESSAGE_BYTES // MAX_FRAGMENT_BYTES
    for seq in range(1, fits + 1):
        inbox.receive(Fragment(1, seq, Carried.EVENT, False, bytes(1100)))
    with pytest.raises(RemoteError, match="too long"):
        inbox.receive(Fragment(1, fits + 1, Carried.EVENT, False, bytes(1100)))


@pytest.mark.parametrize("carried", [*Carried, 0, 5, 2**63 - 1])
def test_each_kind_of_message_has_its_own_length(carried: int) -> None:
    longest_bytes, data = LONGEST_BYTES.get(carried, -1), bytes(MAX_FRAGMENT_BYTES)
    inbox, fits = Inbox(1), max(0, longest_bytes) // MAX_FRAGMENT_BYTES
    for seq in range(1, fits + 1):
        inbox.receive(Fragment(1, seq, carried, False, data))
    with pytest.raises(RemoteError, match="too long"):
        inbox.receive(Fragment(1, fits + 1, carried, True, data))


def test_a_message_of_mixed_kinds_is_refused() -> None:
    inbox = Inbox(1)
    inbox.receive(Fragment(1, 1, Carried.EVENT, False, b""))
    with pytest.raises(RemoteError, match="mixed"):
        inbox.receive(Fragment(1, 2, Carried.CLOSE, True, b""))


def loaded(session: int, fragments: int) -> Outbox:
    outbox = Outbox(session)
    outbox.put(Carried.EVENT, bytes(fragments * MAX_FRAGMENT_BYTES))
    return outbox


def test_sessions_send_turn_by_turn() -> None:
    sharing = Sharing()
    for session in (1, 2, 3):
        sharing.offer(loaded(session, 100))
    order = [fragment.session for fragment in sharing.take(0.0)]
    assert len(order) <= INITIAL_WINDOW + 3
    assert (
        max(order.count(s) for s in (1, 2, 3)) - min(order.count(s) for s in (1, 2, 3))
        <= 1
    )


def test_a_stuck_session_leaves_the_others_their_turn() -> None:
    sharing = Sharing()
    stuck = loaded(1, 1000)
    sharing.offer(stuck)
    assert len(sharing.take(0.0)) == min(INITIAL_WINDOW, MAX_IN_FLIGHT)
    other = loaded(2, 3)
    inbox = Inbox(2)
    sharing.offer(other)
    for _ in range(3):
        (fragment,) = sharing.take(0.0)
        assert fragment.session == 2
        inbox.receive(fragment)
        sharing.acknowledged(other.acknowledge(inbox.ack(), 0.0).acknowledged)
        sharing.window = INITIAL_WINDOW
        sharing.offer(other)
    assert other.is_empty


def test_the_window_shrinks_once_a_round_trip_and_not_below_its_floor() -> None:
    sharing = Sharing()
    sharing.lost(1, 1.0, 0.1)
    once = sharing.window
    sharing.lost(5, 1.05, 0.1)
    assert sharing.window == once < INITIAL_WINDOW
    for second in range(2, 30):
        sharing.lost(1, float(second), 0.1)
    assert sharing.window == MIN_WINDOW


def test_an_ended_session_gives_back_what_it_had_on_the_way() -> None:
    sharing = Sharing()
    outbox = loaded(1, 100)
    sharing.offer(outbox)
    sharing.take(0.0)
    sharing.withdraw(outbox)
    assert sharing.in_flight == 0
    assert sharing.take(0.0) == []
