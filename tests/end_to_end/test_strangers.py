"""Who has no key, at the public door and at a relay's, can hold nothing for long."""

import asyncio
import contextlib
import gc
import gzip
from collections.abc import AsyncIterator

import aiohttp
import pytest

from proto.tunnel import Refused
from relay import door
from runtime.settings import Address
from tests.support.freeing import no_collection
from tests.support.front_door import KEY, front_door
from tests.support.tunnels import running_door
from tests.support.waiting import LIMIT_S
from transceiver.http import server

SOON_S = 0.05


@contextlib.asynccontextmanager
async def public_door() -> AsyncIterator[Address]:
    async with front_door(KEY) as opened:
        host, _, port = opened.url.removeprefix("http://").partition(":")
        yield Address(host, int(port))


@contextlib.asynccontextmanager
async def relays_door() -> AsyncIterator[Address]:
    async with running_door(lambda _: Refused(503, "none", "")) as opened:
        yield opened.address


@pytest.mark.parametrize("opened", [public_door, relays_door])
@pytest.mark.parametrize("said", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
@pytest.mark.asyncio
async def test_who_asks_nothing_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
    opened: type[contextlib.AbstractAsyncContextManager[Address]],
    said: bytes,
) -> None:
    monkeypatch.setattr(server, "IDLE_S", SOON_S)
    monkeypatch.setattr(door, "IDLE_S", SOON_S)
    async with opened() as address, asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(said)
        with contextlib.suppress(ConnectionError):  # or it is cut off before it speaks
            assert await reader.read() == b""
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.asyncio
async def test_no_body_is_unpacked() -> None:
    packed = {"Content-Encoding": "gzip", "Content-Type": "application/sdp"}
    async with front_door(KEY) as opened, aiohttp.ClientSession() as http:
        for key, status in (("wrong", 401), (KEY, 415)):
            headers = packed | {"Authorization": f"Bearer {key}"}
            for path in ("calls", "client_secrets"):
                url = f"{opened.url}/v1/realtime/{path}"
                body = gzip.compress(b"v=0")
                async with http.post(url, data=body, headers=headers) as response:
                    assert response.status == status


@pytest.mark.asyncio
async def test_a_refused_request_is_let_go_of() -> None:
    key, sdp = {"Authorization": f"Bearer {KEY}"}, {"Content-Type": "application/sdp"}
    asked = [
        ("POST", "calls", {}, 401),
        ("POST", "calls", key, 415),
        ("POST", "calls", key | sdp, 400),
        ("GET", "calls/rtc_guess", key, 404),
    ]
    async with front_door(KEY) as opened:
        gc.collect()
        before = errors()
        with no_collection():
            for method, path, headers, status in asked:
                url = f"{opened.url}/v1/realtime/{path}"
                async with opened.http.request(
                    method, url, data=b"v=0", headers=headers
                ) as response:
                    assert response.status == status
            assert [one for one in errors() if one not in before] == []


def errors() -> list[Exception]:
    """Return those that something holds, be it only their own traceback."""
    return [one for one in gc.get_objects() if isinstance(one, Exception)]


@pytest.mark.asyncio
async def test_a_relay_reads_no_body_of_a_stranger() -> None:
    """Not even to throw away what is left over of a refused request."""
    async with relays_door() as address, asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(
            b"GET /tunnel/1 HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
            b"Content-Length: 1000000\r\n\r\n" + b"junk" * 10_000
        )
        assert (await reader.readline()).split()[1] == b"403"
        with contextlib.suppress(ConnectionError):  # it may be reset: much was unread
            await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200),
        ("http://localhost:3000", 200),
        ("http://127.0.0.1:8080", 200),
        ("http://[::1]", 200),
        ("https://elsewhere.example", 403),
        ("http://localhost.elsewhere.example", 403),
        ("null", 403),
        ("http://[", 403),
    ],
)
@pytest.mark.asyncio
async def test_without_keys_pages_from_elsewhere_may_not_call(
    origin: str | None, status: int
) -> None:
    headers = {} if origin is None else {"Origin": origin}
    async with aiohttp.ClientSession(headers=headers) as http:
        for keys, expected in (((), status), ((KEY,), 200)):
            bearer = {"Authorization": f"Bearer {KEY}"}
            async with (
                front_door(*keys) as opened,
                http.post(
                    f"{opened.url}/v1/realtime/client_secrets", headers=bearer
                ) as response,
            ):
                assert response.status == expected
