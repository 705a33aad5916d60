"""One playground per file: a browser takes a second to start."""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import expect

from tests.browser.playground import Playground, opened
from tests.support.waiting import LIMIT_S

expect.set_options(timeout=1000 * LIMIT_S)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def playground() -> AsyncIterator[Playground]:
    """The page and a far end; reload the page for a clean start."""
    async with opened() as playground:
        yield playground
