"""Where a service accepts TCP connections: bound apart, so that workers may share."""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import AsyncIterator, Iterable

from aiohttp import web

from runtime.settings import Address

LINGER_S = 0.1
"""Seconds at most between a connection that was let in and its request, at a stop."""


def bound(address: Address) -> tuple[socket.socket, ...]:
    """Bind every address that a host stands for.

    Args:
        address: Port 0 lets the system choose.

    Raises:
        OSError: One cannot be bound; names it.
    """
    opened: list[socket.socket] = []
    try:
        for family, host in _hosts(address):
            opened += _bound(family, host, address.port)
    except OSError:
        for each in opened:
            each.close()
        raise
    return tuple(opened)


@contextlib.asynccontextmanager
async def accepting(
    runner: web.AppRunner,
    sockets: tuple[socket.socket, ...],
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[None]:
    """Serve what comes to some sockets for the length of a block.

    Who was let in just before its end is still answered: a worker that goes while its
    siblings stay would else drop a client that they would have served.
    """
    await runner.setup()
    try:
        for each in sockets:
            await web.SockSite(runner, each, ssl_context=tls).start()
        yield
    finally:
        await _leave(runner)


async def _leave(runner: web.AppRunner) -> None:
    for site in tuple(runner.sites):
        await site.stop()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while runner.server is not None and runner.server.connections:  # noqa: ASYNC110  # aiohttp wakes nobody
                await asyncio.sleep(LINGER_S / 10)
    await runner.cleanup()


@contextlib.asynccontextmanager
async def serving(
    routes: Iterable[web.RouteDef], sockets: tuple[socket.socket, ...]
) -> AsyncIterator[None]:
    """Serve some routes to operators and their tools for the length of a block."""
    app = web.Application()
    app.add_routes(routes)
    async with accepting(web.AppRunner(app, access_log=None), sockets):
        yield


def _hosts(address: Address) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(
            *address, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        where = f"TCP {address.host} port {address.port}: {error.strerror}"
        raise socket.gaierror(error.errno, where) from None
    return list(dict.fromkeys((entry[0], str(entry[4][0])) for entry in found))


def _bound(family: socket.AddressFamily, host: str, port: int) -> list[socket.socket]:
    """Return the socket; none where the system does not know the family."""
    try:
        opened = socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            return []
        where = f"TCP {host} port {port}: {error.strerror}"
        raise OSError(error.errno, where) from None
    opened.setblocking(False)
    return [opened]
