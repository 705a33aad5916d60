"""How much, how deep and how fast a client may send."""

from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from relay.limits import (
    AUDIO_BURST_BYTES,
    AUDIO_BYTES_PER_S,
    EVENTS_BURST,
    EVENTS_PER_S,
    MAX_DEPTH,
    Limits,
    TokenBucket,
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
    assert limits.take_append(1_000_000, 1_001_024 / AUDIO_BYTES_PER_S)


def test_tiny_appends_are_bounded_in_number() -> None:
    limits = Limits()
    passed = 0
    while limits.take_append(60, 0.0):
        passed += 1
    assert passed < AUDIO_BURST_BYTES / 1_000


def test_a_history_passes_at_once_and_then_events_have_a_rate() -> None:
    limits = Limits()
    assert all(limits.take_event(0.0) for _ in range(EVENTS_BURST))
    assert not limits.take_event(0.0)
    passed = sum(limits.take_event(1.0) for _ in range(2 * EVENTS_PER_S))
    assert passed == EVENTS_PER_S


def test_audio_and_events_do_not_share_a_limit() -> None:
    limits = Limits()
    while limits.take_event(0.0):
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
