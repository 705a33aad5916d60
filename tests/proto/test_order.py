import math
from typing import Any

import pytest
from hypothesis import given, strategies as st

from proto.order import DEPTH, KEPT, MAX_RESENT, History, Order

RTT_S = 0.08
WAIT_S = 0.12


def receive(order: Order, seq: int, now: float, wait_s: float = WAIT_S) -> list[Any]:
    """Give a frame (its number) and return what is delivered."""
    if order.push(seq):
        return [seq]
    order.expect(seq - 1, now, wait_s, 0.0, RTT_S)
    order.hold(seq, f"frame {seq}")
    return order.pull(now)


def test_frames_in_order_pass_at_once_and_leave_no_timer() -> None:
    order = Order()
    for seq in range(1, 200):
        assert receive(order, seq, 0.0) == [seq]
        assert order.deadline == math.inf


def test_a_gap_holds_the_rest_until_it_is_filled() -> None:
    order = Order()
    receive(order, 1, 0.0)
    assert receive(order, 3, 0.02) == []
    assert receive(order, 4, 0.04) == []
    assert receive(order, 2, 0.05) == ["frame 2", "frame 3", "frame 4"]
    assert order.deadline == math.inf


def test_a_gap_is_given_up_at_its_bound() -> None:
    order = Order()
    receive(order, 1, 0.0)
    receive(order, 4, 0.0)
    assert order.pull(WAIT_S - 0.001) == []
    assert order.pull(WAIT_S) == [2, "frame 4"]
    assert order.given_up == 2


def test_downlink_gaps_fall_due_one_frame_after_another() -> None:
    order = Order()
    order.expect(3, 0.0, 0.06, 0.02, RTT_S)
    order.hold(4, "frame 4")
    assert [order.pull(now) for now in (0.0, 0.02, 0.04, 0.06)] == [
        [],
        [1],
        [1],
        [1, "frame 4"],
    ]


def test_a_gap_without_lead_is_given_up_at_once() -> None:
    order = Order()
    assert receive(order, 3, 0.0, wait_s=0.0) == [2, "frame 3"]
    assert order.asks(0.0, RTT_S) == ()


def test_what_is_missing_is_asked_for_at_once_and_again_while_it_can_be_in_time() -> (
    None
):
    order = Order()
    receive(order, 3, 0.0)
    asked = []
    now = 0.0
    while order.deadline < WAIT_S:
        now = max(now, order.deadline)
        seqs = order.asks(now, RTT_S)
        if seqs:
            asked.append((round(now, 3), seqs))
        order.pull(now)
    assert asked[0] == (0.0, (1, 2))
    assert len(asked) >= 2
    assert all(now + 0.8 * RTT_S < WAIT_S for now, _ in asked)


@pytest.mark.parametrize("rtt_s", [0.0, 0.001, 0.007])
def test_however_near_the_peer_a_frame_is_asked_for_every_10_ms_at_most(
    rtt_s: float,
) -> None:
    order = Order()
    order.expect(1, 0.0, 0.03, 0.0, rtt_s)
    asked = []
    while order.deadline < 0.03:
        now = order.deadline
        if order.asks(now, rtt_s):
            asked.append(now)
    assert asked == pytest.approx([0.0, 0.01, 0.02])


def test_a_frame_given_up_is_not_delivered_when_it_comes_after_all() -> None:
    order = Order()
    receive(order, 2, 0.0)
    order.pull(WAIT_S)
    assert receive(order, 1, WAIT_S + 0.01) == []
    assert order.duplicate == 1


def test_a_leap_beyond_the_depth_gives_up_the_oldest_only() -> None:
    order = Order()
    receive(order, 1, 0.0)
    receive(order, 3, 0.0)
    assert receive(order, DEPTH + 8, 0.01) == [1, "frame 3", 4]
    assert len(order._held) + len(order._gaps) <= DEPTH + 1


def test_an_absurd_leap_costs_no_more_than_the_depth() -> None:
    order = Order()
    order.expect(1 << 62, 0.0, WAIT_S, 0.0, RTT_S)
    assert len(order._gaps) <= DEPTH
    assert order.pull(0.0) == [(1 << 62) - DEPTH]


@given(st.integers(0, 2**62), st.randoms(use_true_random=False))
def test_any_order_of_arrival_is_put_right(start: int, rng: Any) -> None:
    order = Order()
    if start:
        order.next_seq, order._newest = start, start - 1
    start = order.next_seq
    arrivals = [
        seq for seq in range(start, start + 40) for _ in range(rng.choice((0, 1, 1, 2)))
    ]
    arrivals.sort(key=lambda seq: seq + rng.random() * 4)
    delivered: list[Any] = []
    now = 0.0
    for seq in arrivals:
        now += 0.01
        delivered += order.pull(now)
        delivered += [
            f"frame {seq}" if item == seq else item for item in receive(order, seq, now)
        ]
    delivered += order.pull(now + WAIT_S)
    frames = [int(item.split()[1]) for item in delivered if isinstance(item, str)]
    lost = sum(item for item in delivered if isinstance(item, int))
    assert frames == sorted(set(frames))
    if frames:
        assert frames[-1] - start + 1 == len(frames) + lost


def test_a_frame_is_sent_again_so_often_and_no_more() -> None:
    history = History()
    seq = history.put("frame", 5.0)
    assert [history.again(seq) for _ in range(MAX_RESENT + 1)] == [
        *[(5.0, "frame")] * MAX_RESENT,
        None,
    ]


def test_an_empty_history_has_nothing_to_send_again() -> None:
    assert [History().again(seq) for seq in range(KEPT + 1)] == [None] * (KEPT + 1)


def test_the_history_forgets_the_oldest() -> None:
    history = History()
    for number in range(1, KEPT + 2):
        history.put(number, 0.0)
    assert history.again(1) is None
    assert history.again(2) == (0.0, 2)
    assert history.again(KEPT + 2) is None
    assert history.again(0) is None
