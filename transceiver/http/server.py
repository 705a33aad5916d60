"""The public HTTP as a server: what bounds strangers before any route is reached."""

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator

from aiohttp import web

from runtime.listening import accepting
from runtime.settings import Address

MAX_FIELD_BYTES = 16 * 1024
"""Longest header field taken: a client secret among a WebSocket's subprotocols."""

IDLE_S = 75.0
"""Seconds that a connection may be without a request: before its first, however slowly
that arrives, and between two (nginx keeps connections as long)."""

SHUTDOWN_S = 2.0
"""Seconds that open requests get to finish at a stop."""


@contextlib.asynccontextmanager
async def listening(
    app: web.Application,
    sockets: tuple[socket.socket, ...],
    tls: ssl.SSLContext | None,
) -> AsyncIterator[Address]:
    """Serve an application for the length of a block, and tell where.

    Bodies are not decompressed: 200 KB would keep the process busy for half a second,
    without a key, since aiohttp reads what it has already refused.

    Args:
        app: The application.
        sockets: Bound to where clients come.
        tls: How it is encrypted; None: it is not.
    """
    runner = web.AppRunner(
        app,
        access_log=None,
        shutdown_timeout=SHUTDOWN_S,
        max_field_size=MAX_FIELD_BYTES,
        keepalive_timeout=IDLE_S,
        auto_decompress=False,
    )
    async with accepting(runner, sockets, tls):
        yield Address(*runner.addresses[0][:2])
