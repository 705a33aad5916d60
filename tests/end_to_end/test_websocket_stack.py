"""WebSocket sessions through the real services, and what they hear when one ends."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.realtime_server import RealtimeServer, running_server
from tests.support.scraping import scrape
from tests.support.services import Stack, running_stack
from tests.support.waiting import LIMIT_S, until, until_reads


@contextlib.asynccontextmanager
async def running_services(
    **settings: str,
) -> AsyncIterator[tuple[Stack, RealtimeServer]]:
    """Run edge and relay against a scripted Realtime API."""
    async with (
        running_server() as server,
        running_stack(server.url, TANDEM_UPSTREAM_KEY=server.key, **settings) as stack,
    ):
        yield stack, server


def dial(stack: Stack, query: str = "?model=m") -> connect:
    """Dial the edge."""
    url = stack.url.replace("http:", "ws:") + f"/v1/realtime{query}"
    return connect(url, max_size=None, proxy=None)


async def event(websocket: ClientConnection, type_: str) -> dict[str, Any]:
    """Return the next event of a type."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            received: dict[str, Any] = json.loads(await websocket.recv())
            if received["type"] == type_:
                return received


async def closed(websocket: ClientConnection) -> int | None:
    """Read until the close, and return its code."""
    async with asyncio.timeout(LIMIT_S):
        with contextlib.suppress(ConnectionClosed):
            async for _ in websocket:
                pass
    return websocket.close_code


@pytest.mark.asyncio
async def test_what_a_client_says_at_once_arrives_in_order() -> None:
    async with running_services() as (stack, server), dial(stack) as websocket:
        for number in range(100):
            await websocket.send(json.dumps({"type": "x.y", "event_id": f"e{number}"}))
        assert (await event(websocket, "session.created"))["session"]
        api = await server.next_session()
        assert api.query == {"model": "m"}
        await websocket.send(json.dumps({"type": "bad.event", "event_id": "last"}))
        refused = await event(websocket, "error")
        assert refused["error"]["event_id"] == "last"
        sent = [each["event_id"] for each in api.events if each["type"] == "x.y"]
        assert sent == [f"e{number}" for number in range(100)]


@pytest.mark.asyncio
async def test_a_client_learns_that_its_relay_was_lost() -> None:
    async with running_services() as (stack, _), dial(stack) as websocket:
        await event(websocket, "session.created")
        await stack.relay.kill()
        lost = await event(websocket, "error")
        assert lost["error"]["code"] == "relay_lost"
        assert await closed(websocket) == 1011


@pytest.mark.asyncio
@pytest.mark.parametrize("service", ["transceiver", "relay"])
async def test_a_service_that_stops_lets_its_clients_go_with_1001(service: str) -> None:
    async with running_services() as (stack, _), dial(stack) as websocket:
        await event(websocket, "session.created")
        process = stack.transceiver if service == "transceiver" else stack.relay
        stopping = asyncio.create_task(process.stop())
        assert await closed(websocket) == 1001
        assert await stopping == 0


@pytest.mark.asyncio
async def test_sessions_leave_nothing_behind() -> None:
    async with running_services(TANDEM_MAX_CALLS="1") as (stack, _):
        for opened in (1, 2, 3):
            async with dial(stack) as websocket:
                await event(websocket, "session.created")
                with pytest.raises(InvalidStatus, match="503"):
                    async with dial(stack):
                        pass
            await no_session_left(stack, opened)


async def no_session_left(stack: Stack, opened: int) -> None:
    """Wait until the relay has ended all sessions, and the edge has freed its slot."""

    async def sessions() -> float:
        page = await scrape(stack.relay.status_url)
        return page.value("tandem_relay_sessions", transport="websocket")

    await until_reads(sessions, 0)
    await until(lambda: stack.transceiver.log.count("websocket closed") == opened)


@pytest.mark.asyncio
async def test_a_call_that_is_not_there_is_404() -> None:
    async with running_services() as (stack, _):
        with pytest.raises(InvalidStatus) as refused:
            async with dial(stack, "?call_id=rtc_guessed"):
                pass
        body = refused.value.response.body
        assert refused.value.response.status_code == 404
        assert json.loads(body or b"")["error"]["code"] == "call_not_found"
