"""Addresses that cannot be listened on, and what a stop does to who has just come."""

import asyncio
import socket

import pytest
from aiohttp import web

from runtime import listening
from runtime.settings import Address


def test_a_host_that_nobody_knows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> list[object]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(socket.gaierror, match="TCP nohost port 8080: Name or"):
        listening.bound(Address("nohost", 8080))


@pytest.mark.asyncio
async def test_who_was_let_in_before_the_end_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listening, "LINGER_S", 10.0)

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    (door,) = listening.bound(Address("127.0.0.1", 0))
    address = door.getsockname()
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    async with asyncio.timeout(30):
        async with listening.serving([web.get("/", hello)], (door,)):
            early, late = [await asyncio.open_connection(*address) for _ in "ab"]
            late[1].write(request)
            assert (await late[0].read()).endswith(b"hello")  # so both were let in
            asyncio.get_running_loop().call_later(0.05, early[1].write, request)
        assert (await early[0].read()).endswith(b"hello")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)
    for _, writer in (early, late):
        writer.close()
