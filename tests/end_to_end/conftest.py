"""One running stack shared by the tests that do not change its settings."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.services import Stack, running_stack

KEY = "sk-test-of-the-front-door"


@pytest_asyncio.fixture
async def echo_stack() -> AsyncIterator[Stack]:
    """Both services with the echo upstream."""
    async with running_stack("echo") as stack:
        yield stack


@pytest_asyncio.fixture
async def locked_stack() -> AsyncIterator[Stack]:
    """Both services with the echo upstream, an API key and room for one call."""
    async with running_stack(
        "echo", TANDEM_API_KEYS=f"other,{KEY}", TANDEM_MAX_CALLS="1"
    ) as stack:
        yield stack
