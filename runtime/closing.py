"""Closing a WebSocket, also towards a peer that no longer reads."""

import asyncio
from collections.abc import Awaitable
from typing import Final

_MAX_REASON_BYTES: Final = 123
"""Of a close frame (RFC 6455 section 5.5)."""


def close_reason(reason: str) -> bytes:
    """Return as much of a reason as a close frame holds."""
    return reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore").encode()


async def is_done_within(closing: Awaitable[object], timeout_s: float) -> bool:
    """Tell whether a WebSocket could be closed in time.

    Where a writer was cancelled while the peer did not read, aiohttp (3.14) has the
    next one meet the same cancelled future: that looks like a cancellation of this
    task, and means that the peer still does not read.
    """
    try:
        async with asyncio.timeout(timeout_s):
            await closing
    except TimeoutError:
        return False
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return False
    return True
