"""The operator's door of a process: on loopback only, and closed unless asked for.

    POST /admin/drain      as SIGTERM      202
and the status pages. Whoever reaches it may use it; a browser may not, since any page
that is open in one could have it ask.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

from aiohttp import web

from runtime.settings import Address
from runtime.stop import Stop

log = logging.getLogger(__name__)

HOST = "127.0.0.1"


@contextlib.asynccontextmanager
async def admin_door(
    port: int | None, stop: Stop, status_routes: Iterable[web.RouteDef]
) -> AsyncIterator[None]:
    """Serve it for the length of a block.

    Args:
        port: Of 127.0.0.1; None: not at all.
        stop: What a drain is asked of.
        status_routes: Served as well.

    Raises:
        OSError: The port is taken.
    """
    if port is None:
        yield
        return
    app = web.Application()
    app.add_routes([web.post("/admin/drain", drain(stop)), *status_routes])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        log.info("admin door", extra={"address": str(Address(HOST, port))})
        yield
    finally:
        await runner.cleanup()


def drain(stop: Stop) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the route's handler."""

    async def asked(request: web.Request) -> web.Response:
        if "Origin" in request.headers:  # browsers send one with every POST
            return web.json_response({"status": "not for browsers"}, status=403)
        log.info("drain asked for")
        stop.drain()
        return web.json_response({"status": "draining"}, status=202)

    return asked
