"""One edge and one browser for all the pages of this folder."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.interop.javascript import client, site
from tests.interop.javascript.client import Client
from tests.support import chromium
from tests.support.certificates import self_signed
from tests.support.services import Stack, running_stack

API_KEY = "sk-of-the-application"

GLANCES, GLANCE_S = 20, 0.1
"""How often, and every how many seconds, is looked for the end of a call."""


@dataclass(frozen=True)
class Place:
    """Where the clients run, and what they call.

    Attributes:
        stack: The edge, which knows one API key and speaks TLS, as browsers expect.
        browser: The browser.
        address: Where the page is given out: another origin than the edge's.
    """

    stack: Stack
    browser: Browser
    address: str

    def page(self, script: str = "agents") -> AbstractAsyncContextManager[Client]:
        """Open a page for one client."""
        return client.opened(self.browser, f"{self.address}?client={script}")

    @asynccontextmanager
    async def pages(self, count: int) -> AsyncIterator[list[Client]]:
        """Open pages for several clients at once."""
        async with AsyncExitStack() as stack:
            opening = (stack.enter_async_context(self.page()) for _ in range(count))
            yield await asyncio.gather(*opening)

    async def is_free(self) -> bool:
        """Tell whether the edge holds no call and no session, or soon does not."""
        async with aiohttp.ClientSession() as http:
            for _ in range(GLANCES):
                url = f"{self.stack.url}/metrics"
                async with http.get(url, ssl=False) as response:
                    metrics = await response.text()
                if re.search(r"^tandem_slots_taken 0\.0$", metrics, re.MULTILINE):
                    return True
                await asyncio.sleep(GLANCE_S)
        return False

    async def client_secret(self) -> str:
        """Mint a key for a page, as the application's server does."""
        async with (
            aiohttp.ClientSession() as http,
            http.post(
                f"{self.stack.url}/v1/realtime/client_secrets",
                json={"session": {"type": "realtime", "model": "gpt-realtime"}},
                headers={"Authorization": f"Bearer {API_KEY}"},
                raise_for_status=True,
                ssl=False,  # the certificate is the test's own
            ) as response,
        ):
            secret: str = (await response.json())["value"]
            return secret


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def place(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Place]:
    """Run the edge, the browser and the page's own server."""
    site.require_packages()
    shown = self_signed(tmp_path_factory.mktemp("tls"))
    async with (
        running_stack(TANDEM_API_KEYS=API_KEY, **shown.settings) as stack,
        site.serving() as address,
        chromium.launched(chromium.require()) as browser,
    ):
        yield Place(stack, browser, address)
