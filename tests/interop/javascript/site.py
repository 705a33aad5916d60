"""Gives the client page out, from another origin than the edge's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

HERE = Path(__file__).parent
PACKAGES = HERE / "node_modules"


def require_packages() -> None:
    """Skip the test where the packages are not installed."""
    if not PACKAGES.exists():
        pytest.skip("the npm packages are not installed: run `make test` once")


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    """Serve the page and, unmodified, the packages; yield the page's address."""

    async def page(_: web.Request) -> web.FileResponse:
        return web.FileResponse(HERE / "page.html")

    async def script(request: web.Request) -> web.FileResponse:
        return web.FileResponse(HERE / f"{request.match_info['client']}.js")

    site = web.Application()
    site.add_routes(
        [
            web.get("/", page),
            web.get("/{client:[a-z]+}.js", script),
            web.static("/node_modules", PACKAGES),
        ]
    )
    async with TestServer(site) as server:
        yield str(server.make_url("/"))
