"""Calls through the forwarder, which may be restarted under them."""

import contextlib
import re
import signal

import aiohttp
import numpy as np
import pytest

from tests.end_to_end.test_workers import figures
from tests.support.caller import RATE_HZ, Caller, calling
from tests.support.ingress import Ingress, forwarded_stack
from tests.support.services import Process, free_ports
from tests.support.waiting import until_reads

pytestmark = pytest.mark.interop

LOUD = 4000
BUFFERED = RATE_HZ // 2  # more than the client's jitter buffer holds
TONE = (12_000 * np.sin(np.arange(RATE_HZ // 2) * 0.06)).astype(np.int16)


async def hears_itself(caller: Caller) -> None:
    """Speak until the echo comes back: the call goes both ways."""
    since = len(caller.heard) + BUFFERED
    caller.microphone.say(np.tile(TONE, 30))
    await caller.wait_until(
        lambda: int(np.abs(caller.heard[since:]).max(initial=0)) > LOUD, "echo"
    )


async def metric(ingress: Ingress, name: str) -> float:
    """Return a figure of the forwarder's."""
    async with aiohttp.ClientSession() as http:
        text = await (await http.get(f"{ingress.url}/metrics")).text()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found is not None, text
    return float(found.group(1))


@pytest.mark.asyncio
async def test_a_call_goes_through_the_forwarder_alone() -> None:
    async with forwarded_stack() as (stack, ingress), calling(stack.url) as caller:
        await caller.wait_for("session.created")
        await hears_itself(caller)
        passed = 'tandem_ingress_datagrams_total{{direction="{}"}}'
        _, port = stack.udp_address
        described = caller.connection.remoteDescription.sdp
        assert f" {port} typ host" not in described
        assert await metric(ingress, 'tandem_ingress_flows{state="proven"}') >= 1
        assert await metric(ingress, passed.format("uplink")) > 20
        assert await metric(ingress, passed.format("downlink")) > 20


@pytest.mark.asyncio
async def test_a_call_outlives_a_crash_of_the_forwarder() -> None:
    async with forwarded_stack() as (stack, ingress), calling(stack.url) as caller:
        await caller.wait_for("session.created")
        await hears_itself(caller)
        await ingress.replace()
        await hears_itself(caller)
        assert caller.connection.connectionState == "connected"


@pytest.mark.asyncio
async def test_a_call_outlives_a_forwarder_that_comes_back_elsewhere() -> None:
    async with forwarded_stack() as (stack, ingress), calling(stack.url) as caller:
        await caller.wait_for("session.created")
        await hears_itself(caller)
        await ingress.replace(elsewhere=True)
        await hears_itself(caller)
        assert caller.connection.connectionState == "connected"


@pytest.mark.asyncio
async def test_one_port_serves_two_transceivers() -> None:
    async with forwarded_stack() as (stack, ingress):
        http, udp = free_ports(2)
        second = Process("transceiver", f"http://127.0.0.1:{http}")
        await second.start(
            stack.environ | {"TANDEM_HTTP_PORT": str(http), "TANDEM_UDP_PORT": str(udp)}
        )
        try:
            await second.wait_ready()
            async with calling(stack.url) as one, calling(second.status_url) as two:
                await hears_itself(one)
                await hears_itself(two)
                proven = await metric(ingress, 'tandem_ingress_flows{state="proven"}')
                assert proven >= 2
        finally:
            assert await second.stop() == 0


@pytest.mark.asyncio
async def test_one_port_serves_all_workers_of_a_transceiver() -> None:
    (udp,) = free_ports(1)
    async with (
        forwarded_stack(TANDEM_WORKERS="2", TANDEM_UDP_PORT=str(udp)) as (stack, _),
        contextlib.AsyncExitStack() as calls,
    ):
        for _ in range(4):
            caller = await calls.enter_async_context(calling(stack.url))
            await hears_itself(caller)
        held = await figures(stack.transceiver, "tandem_calls")
        assert sum(held.values()) == 4


@pytest.mark.asyncio
async def test_a_forwarder_that_drains_goes_on_forwarding() -> None:
    async with (
        forwarded_stack(drain_s=600) as (stack, ingress),
        calling(stack.url) as caller,
    ):
        await caller.wait_for("session.created")
        assert ingress.process is not None
        ingress.process.send(signal.SIGTERM)
        await until_reads(ingress.process.readiness, (503, "draining"))
        await hears_itself(caller)
        ingress.process.send(signal.SIGTERM)
        assert await ingress.process.ended() == 0
