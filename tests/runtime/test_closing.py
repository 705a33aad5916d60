"""Closing a WebSocket."""

import asyncio

import pytest
from hypothesis import given, strategies as st

from runtime.closing import close_reason, is_done_within


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_as_much_of_a_reason_is_sent_as_a_close_frame_holds(reason: str) -> None:
    sent = close_reason(reason)
    assert reason.startswith(sent.decode())
    assert len(sent) == len(reason.encode()) or 120 <= len(sent) <= 123


@pytest.mark.asyncio
async def test_a_close_that_ends_is_done() -> None:
    assert await is_done_within(asyncio.sleep(0), 5)


@pytest.mark.asyncio
async def test_a_close_that_does_not_end_is_given_up() -> None:
    assert not await is_done_within(asyncio.Event().wait(), 0)


@pytest.mark.asyncio
async def test_a_future_cancelled_by_another_is_no_cancellation() -> None:
    waiter = asyncio.get_running_loop().create_future()
    waiter.cancel()
    assert not await is_done_within(waiter, 5)


@pytest.mark.asyncio
async def test_a_cancellation_is_one() -> None:
    closing = asyncio.create_task(is_done_within(asyncio.Event().wait(), 5))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
