"""What callers hear of services that are asked to end: nothing, for a time."""

import contextlib
import signal
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.caller import calling, goes_on, refusal
from tests.support.scraping import scrape
from tests.support.services import Process, Stack, free_ports, running_stack
from tests.support.waiting import until, until_reads

GRACE_S = "60"
"""Longer than any test: who ends earlier has not waited for it."""


async def drained(process: Process) -> None:
    """Ask a process to end, and return when it drains."""
    process.send(signal.SIGTERM)
    await until_reads(process.readiness, (503, "draining"))


@pytest.mark.asyncio
async def test_an_edge_that_drains_ends_with_its_last_call() -> None:
    async with running_stack("echo", TANDEM_DRAIN_S=GRACE_S) as stack:
        url = f"{stack.url}/v1/realtime?model=m"
        async with (
            calling(stack.url) as caller,
            aiohttp.ClientSession() as http,
            http.ws_connect(url) as websocket,
        ):
            await goes_on(caller)
            await drained(stack.transceiver)
            status, retry_after_s = await refusal(stack.url)
            assert status == 503
            assert retry_after_s is not None
            with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                await http.ws_connect(url)
            await goes_on(caller)
            await caller.close()
            assert (await websocket.receive()).type is aiohttp.WSMsgType.TEXT
            assert stack.transceiver.is_running
        assert await stack.transceiver.ended() == 0


@pytest.mark.asyncio
async def test_a_second_signal_ends_calls_at_once() -> None:
    async with (
        running_stack("echo", TANDEM_DRAIN_S=GRACE_S) as stack,
        calling(stack.url) as caller,
    ):
        await goes_on(caller)
        await drained(stack.transceiver)
        stack.transceiver.send(signal.SIGTERM)
        assert await stack.transceiver.ended() == 0
        assert "code=DRAINING" in stack.transceiver.log


@pytest.mark.asyncio
async def test_an_interrupt_does_not_wait_for_calls() -> None:
    async with (
        running_stack("echo", TANDEM_DRAIN_S=GRACE_S) as stack,
        calling(stack.url) as caller,
    ):
        await goes_on(caller)
        assert await stack.transceiver.stop(signal.SIGINT) == 0


@pytest.mark.asyncio
async def test_calls_that_outlast_the_grace_end_with_it() -> None:
    async with (
        running_stack("echo", TANDEM_DRAIN_S="1") as stack,
        calling(stack.url) as caller,
    ):
        await goes_on(caller)
        stack.transceiver.send(signal.SIGTERM)
        assert await stack.transceiver.ended() == 0
        assert "draining" in stack.transceiver.log
        assert "code=DRAINING" in stack.transceiver.log


@pytest.mark.asyncio
async def test_a_drain_can_be_asked_for_on_the_admin_port() -> None:
    edge, relay = free_ports(2)
    async with running_stack(
        "echo",
        TANDEM_DRAIN_S=GRACE_S,
        TANDEM_ADMIN_PORT=str(edge),
        TANDEM_RELAY_ADMIN_PORT=str(relay),
    ) as stack:
        async with calling(stack.url) as caller, aiohttp.ClientSession() as http:
            await goes_on(caller)
            foreign = {"Origin": "http://example.com"}
            for port in (edge, relay):
                url = f"http://127.0.0.1:{port}/admin/drain"
                async with http.post(url, headers=foreign) as answer:
                    assert answer.status == 403
                async with http.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    assert answer.status == 200
            for port in (edge, relay):
                url = f"http://127.0.0.1:{port}/admin/drain"
                async with http.post(url) as answer:
                    assert answer.status == 202
            async with http.post(f"{stack.url}/admin/drain") as answer:
                assert answer.status == 404  # nothing of it on the public door
            assert (await refusal(stack.url))[0] == 503
            await goes_on(caller)
        assert await stack.transceiver.ended() == 0
        assert await stack.relay.ended() == 0


@pytest.mark.asyncio
async def test_a_relay_that_drains_ends_with_its_last_session() -> None:
    async with running_stack("echo", TANDEM_DRAIN_S=GRACE_S) as stack:
        async with calling(stack.url) as caller:
            await goes_on(caller)
            await drained(stack.relay)
            await goes_on(caller)
            assert stack.relay.is_running
        assert await stack.relay.ended() == 0


@contextlib.asynccontextmanager
async def two_relays(**settings: str) -> AsyncIterator[tuple[Stack, Process]]:
    """Run a stack, and a second relay that its edge is linked to as well."""
    link, status, first = free_ports(3)
    relays = f"localhost:{first},127.0.0.1:{link}"
    second = Process("relay", f"http://127.0.0.1:{status}")
    ports = {"TANDEM_LINK_PORT": str(first), "TANDEM_RELAYS": relays}
    async with running_stack("echo", **ports, **settings) as stack:
        own = {"TANDEM_LINK_PORT": str(link), "TANDEM_RELAY_HTTP_PORT": str(status)}
        await second.start(stack.environ | own)
        try:
            await second.wait_ready()
            await until_reads(lambda: links_up(stack), 2)
            yield stack, second
        finally:
            assert await second.stop() == 0


async def links_up(stack: Stack) -> float:
    return (await scrape(stack.url)).value("tandem_link_up")


async def serve_some(stack: Stack) -> None:
    """Hold calls and WebSocket sessions at the same time; all of them are served."""
    url = f"{stack.url}/v1/realtime?model=m"
    async with contextlib.AsyncExitStack() as held:
        http = await held.enter_async_context(aiohttp.ClientSession())
        callers = [await held.enter_async_context(calling(stack.url)) for _ in range(4)]
        for _ in range(4):
            websocket = await held.enter_async_context(http.ws_connect(url))
            assert (await websocket.receive_json())["type"] == "session.created"
        for caller in callers:
            await goes_on(caller)
            assert caller.count("session.created") == 1
            assert caller.count("error") == 0


@pytest.mark.asyncio
async def test_new_calls_find_the_relay_that_does_not_drain() -> None:
    async with two_relays(TANDEM_DRAIN_S=GRACE_S) as (stack, other):
        async with calling(stack.url) as caller:
            await goes_on(caller)
            relays = (stack.relay, other)
            await until(lambda: any("session opened" in relay.log for relay in relays))
            (has_it,) = (relay for relay in relays if "session opened" in relay.log)
            await drained(has_it)
            await serve_some(stack)
            await goes_on(caller)
        assert await has_it.ended() == 0
        assert has_it.log.count("session opened") == 1


@pytest.mark.asyncio
async def test_calls_in_the_moment_that_a_relay_dies_find_the_other() -> None:
    async with two_relays() as (stack, _):
        await stack.relay.kill()
        async with contextlib.AsyncExitStack() as held:
            callers = [
                await held.enter_async_context(calling(stack.url)) for _ in range(4)
            ]
            for caller in callers:
                await goes_on(caller)
                assert caller.count("session.created") == 1
                assert caller.count("error") == 0
        await serve_some(stack)
    log = stack.transceiver.log
    unaware, lost, _ = log.partition("link down")
    assert lost
    assert unaware.count("call opened") < 2 or "another relay asked" in log
