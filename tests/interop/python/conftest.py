"""One edge for all the clients of this folder."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest_asyncio

from tests.support.services import Stack, running_stack

KEY = "sk-of-the-application"


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def stack() -> AsyncIterator[Stack]:
    """The edge, which knows one API key.

    The loop's threads are reduced to one that runs already: the `openai` package asks
    for it, and no test shall look as if it had left it behind.
    """
    with ThreadPoolExecutor(1) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        await asyncio.to_thread(int)
        async with running_stack(TANDEM_API_KEYS=KEY) as stack:
            yield stack
