"""The operator's door of a process: on loopback only, and closed unless asked for.

    POST /admin/drain      as SIGTERM, to all workers      202
and the status pages. Whoever reaches it may use it; a browser may not, since any page
that is open in one could have it ask.
"""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final

from aiohttp import web

from runtime.listening import serving
from runtime.settings import Address
from runtime.stop import Stop
from runtime.worker import ALONE, Worker

log = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"


@contextlib.asynccontextmanager
async def admin_door(
    port: int | None,
    stop: Stop,
    status_routes: Iterable[web.RouteDef],
    worker: Worker = ALONE,
) -> AsyncIterator[None]:
    """Serve it for the length of a block.

    Args:
        port: Of 127.0.0.1; None: not at all.
        stop: What a drain is asked of.
        status_routes: Served as well.
        worker: This process's place; all workers are asked, if there are several.

    Raises:
        OSError: The port is taken.
    """
    if port is None:
        yield
        return
    (address,) = admin_addresses(port)
    routes = [web.post("/admin/drain", drain(stop, worker)), *status_routes]
    async with serving(routes, worker.sockets(address)):
        log.info("admin door", extra={"address": str(address)})
        yield


def admin_addresses(port: int | None) -> tuple[Address, ...]:
    """Return where the door is, if anywhere."""
    return () if port is None else (Address(HOST, port),)


def drain(
    stop: Stop, worker: Worker
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return the route's handler."""

    async def asked(request: web.Request) -> web.Response:
        if "Origin" in request.headers:  # browsers send one with every POST
            return web.json_response({"status": "not for browsers"}, status=403)
        log.info("drain asked for")
        if not worker.ask_for_drain():
            stop.drain()
        return web.json_response({"status": "draining"}, status=202)

    return asked
