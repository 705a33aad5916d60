"""How much, how deep and how fast a client may send."""

from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from proto.nesting import MAX_DEPTH
from relay.client.intake import MAX_EVENT_BYTES
from relay.client.limits import (
    BURST_BYTES,
    BYTES_PER_S,
    EVENTS_BURST,
    EVENTS_PER_S,
    MAX_MARKS,
    Limits,
    TokenBucket,
    has_too_many_values,
    is_too_deep,
)

APPEND_10_MS_BYTES = 700
"""An append of 10 ms of PCM at 24 kHz, as JSON."""


def nested(levels: int) -> Any:
    value: Any = None
    for level in range(levels):
        value = [value] if level % 2 else {"x": value}
    return value


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 60)), max_size=60))
def test_a_bucket_never_lets_more_pass_than_its_burst_and_rate(
    takes: list[tuple[float, float]],
) -> None:
    bucket = TokenBucket(rate_per_s=3, burst=7)
    now = start = 100.0
    passed = 0.0
    for wait_s, amount in takes:
        now += wait_s
        passed += amount if bucket.take(amount, now) else 0
        assert passed <= 7 + 3 * (now - start) + 1e-6


def test_a_bucket_takes_nothing_when_it_refuses() -> None:
    bucket = TokenBucket(rate_per_s=1, burst=5)
    assert not bucket.take(6, 0.0)
    assert bucket.take(5, 0.0)
    assert not bucket.take(1, 0.5)
    assert bucket.take(1, 1.0)


def test_a_clock_that_stands_or_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(rate_per_s=1, burst=1)
    assert bucket.take(1, 10.0)
    assert not bucket.take(1, 9.0)
    assert not bucket.take(1, 9.5)


def test_audio_appended_every_10_ms_passes_for_ever() -> None:
    limits = Limits()
    now = 0.0
    for _ in range(100 * 60):
        now += 0.01
        assert limits.take_append(APPEND_10_MS_BYTES, now)


def test_eight_minutes_of_audio_pass_at_once() -> None:
    limits = Limits()
    chunk_ms = 100
    chunk_bytes = 24 * 2 * chunk_ms * 4 // 3 + 50
    assert all(
        limits.take_append(chunk_bytes, 0.0) for _ in range(7 * 60_000 // chunk_ms)
    )
    in_one = Limits()
    assert in_one.take_append(16 * 1024 * 1024, 0.0)


def test_more_audio_than_that_has_to_wait() -> None:
    limits = Limits()
    while limits.take_append(1_000_000, 0.0):
        pass
    assert not limits.take_append(1_000_000, 0.0)
    assert limits.take_append(1_000_000, 1_001_024 / BYTES_PER_S)


def test_tiny_appends_are_bounded_in_number() -> None:
    limits = Limits()
    passed = 0
    while limits.take_append(60, 0.0):
        passed += 1
    assert passed < BURST_BYTES / 1_000


def test_a_history_passes_at_once_and_then_events_have_a_rate() -> None:
    limits = Limits()
    assert all(limits.take_event(50, 0.0) for _ in range(EVENTS_BURST))
    assert not limits.take_event(50, 0.0)
    passed = sum(limits.take_event(50, 1.0) for _ in range(2 * EVENTS_PER_S))
    assert passed == EVENTS_PER_S


def test_large_events_are_bounded_in_bytes_too() -> None:
    limits = Limits()
    assert limits.take_event(BURST_BYTES, 0.0)
    assert not limits.take_event(BYTES_PER_S, 0.5)
    assert limits.take_event(BYTES_PER_S, 1.0)


def test_what_is_refused_has_a_limit_that_size_uses_up() -> None:
    limits = Limits()
    assert all(limits.take_refused(0, 0.0) for _ in range(EVENTS_BURST))
    assert not limits.take_refused(0, 0.0)
    assert sum(Limits().take_refused(0, now) for now in range(10)) == 10
    limits = Limits()
    passed = 0
    while limits.take_refused(MAX_EVENT_BYTES, 0.0):
        passed += 1
    assert passed < 10


@pytest.mark.parametrize("unit", [b"[],", b"{},", b"1,", b'"a",'])
def test_values_are_counted_before_they_are_read(unit: bytes) -> None:
    assert has_too_many_values(b"[" + unit * MAX_MARKS + b"1]")
    assert not has_too_many_values(b"[" + unit * (MAX_MARKS // 4) + b"1]")


def test_audio_and_text_of_any_length_have_few_values() -> None:
    assert not has_too_many_values(b'{"audio":"' + b"A" * 2**24 + b'"}')
    prose = b"It rains, and rains, and then it stops. " * 50_000
    assert not has_too_many_values(b'{"text":"' + prose + b'"}')


def test_audio_and_events_do_not_share_a_limit() -> None:
    limits = Limits()
    while limits.take_event(50, 0.0):
        pass
    assert limits.take_append(1_000, 0.0)


@pytest.mark.parametrize(
    ("levels", "too_deep"),
    [(1, False), (MAX_DEPTH, False), (MAX_DEPTH + 1, True), (250, True)],
)
def test_depth_has_a_limit(levels: int, too_deep: bool) -> None:
    value = nested(levels)
    assert is_too_deep(orjson.dumps(value), value) is too_deep


@pytest.mark.parametrize("value", [[[]] * 1_000, ["[" * 1_000], {"x": "{[" * 99}])
def test_many_brackets_side_by_side_or_in_text_are_not_deep(value: Any) -> None:
    assert not is_too_deep(orjson.dumps(value), value)


def test_a_deep_branch_among_flat_ones_is_found() -> None:
    value = [[], nested(MAX_DEPTH), {}]
    assert is_too_deep(orjson.dumps(value), value)
