"""Which datagrams one call sends: any in, whole runs out, in order; and to whom."""

import socket
from typing import cast

from hypothesis import given, strategies as st

from runtime import segments
from runtime.segments import (
    MAX_REFUSED,
    MAX_RUN,
    MAX_RUN_BYTES,
    REFUSED_S,
    Data,
    Peer,
    Refused,
)

HERE, THERE = ("127.0.0.1", 1), ("127.0.0.1", 2)
OUTBOXES = st.lists(
    st.tuples(
        st.sampled_from((0, 1, 7, 1_050, 1_400)).map(bytes),
        st.sampled_from((HERE, THERE)),
    ),
    max_size=200,
)


def sizes(outbox: list[tuple[Data, Peer]]) -> list[list[int]]:
    return [[len(data) for data in run] for run, _ in segments.runs(outbox)]


@given(OUTBOXES)
def test_everything_goes_out_in_order_to_whom_it_is_for(
    outbox: list[tuple[Data, Peer]],
) -> None:
    sent = [(data, to) for run, to in segments.runs(outbox) for data in run]
    assert sent == outbox


@given(OUTBOXES)
def test_a_run_is_what_the_kernel_can_cut(outbox: list[tuple[Data, Peer]]) -> None:
    for run in sizes(outbox):
        *whole, last = run
        assert set(whole) <= {run[0]}
        assert last <= run[0]
        assert len(run) == 1 or last > 0
        assert len(run) <= MAX_RUN
        assert sum(run) <= MAX_RUN_BYTES


def test_equal_datagrams_to_one_address_are_one_run() -> None:
    assert sizes([(bytes(9), HERE)] * 3) == [[9, 9, 9]]


def test_a_shorter_one_ends_a_run() -> None:
    assert sizes([(bytes(size), HERE) for size in (9, 9, 5, 5, 9)]) == [
        [9, 9, 5],
        [5],
        [9],
    ]


def test_another_address_begins_a_run() -> None:
    assert sizes([(b"x", HERE), (b"x", THERE), (b"x", HERE)]) == [[1], [1], [1]]


def test_no_run_is_longer_than_one_call_takes() -> None:
    assert [len(run) for run in sizes([(b"x", HERE)] * 130)] == [64, 64, 2]
    assert [len(run) for run in sizes([(bytes(1_400), HERE)] * 50)] == [46, 4]


class Heedless:
    """A socket of a system that takes any option and does nothing with it."""

    def setsockopt(self, *_: int) -> None:
        """Say nothing."""

    def getsockopt(self, *_: int) -> int:
        """Tell that it is not set."""
        return 0


def test_a_system_that_heeds_no_option_sends_no_runs() -> None:
    assert not segments.accept(cast(socket.socket, Heedless()))


def test_an_address_that_refused_a_run_is_tried_again_later() -> None:
    refused = Refused()
    refused.add(HERE, 5.0)
    assert refused.covers(HERE, 5.0 + REFUSED_S - 0.1)
    assert not refused.covers(HERE, 5.0 + REFUSED_S)
    assert not refused.covers(HERE, 5.0)


def test_other_addresses_keep_their_runs() -> None:
    refused = Refused()
    refused.add(HERE, 0.0)
    assert not refused.covers(THERE, 0.0)


def test_refusals_are_bounded() -> None:
    refused = Refused()
    for port in range(MAX_REFUSED + 1):
        refused.add(("127.0.0.1", port), 0.0)
    covered = [refused.covers(("127.0.0.1", port), 0.0) for port in range(MAX_REFUSED)]
    assert not any(covered)
    assert refused.covers(("127.0.0.1", MAX_REFUSED), 0.0)
