"""Small HTTP servers that stand where a foreign one would, on loopback."""

import contextlib
import ssl
from collections.abc import AsyncIterator

from aiohttp import web

from runtime.settings import Address


@contextlib.asynccontextmanager
async def serving(
    app: web.Application, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Address]:
    """Serve meanwhile, on a free port unless one is named."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
        yield Address(*runner.addresses[0])
    finally:
        await runner.cleanup()
