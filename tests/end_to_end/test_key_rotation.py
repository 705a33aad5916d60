"""A cluster changes its key one process at a time; what holds the old one goes on."""

import base64

import aiohttp
import pytest

from tests.support.caller import calling
from tests.support.services import Process, Stack, running_stack

API_KEY = "sk-rotation"
OLD, NEW = (base64.b64encode(bytes([byte]) * 32).decode() for byte in (1, 2))


async def restart(stack: Stack, process: Process, link_key: str) -> None:
    """Stop a service and start it with other keys; return when it is ready."""
    assert await process.stop() == 0
    await process.start(stack.environ | {"TANDEM_LINK_KEY": link_key})
    await process.wait_ready()
    await stack.transceiver.wait_ready()


async def mint(stack: Stack) -> str:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {API_KEY}"}) as http,
        http.post(f"{stack.url}/v1/realtime/client_secrets", json={}) as response,
    ):
        return str((await response.json())["value"])


async def hold_a_call(stack: Stack, key: str) -> None:
    """Call by the link, hear the echo, and hang up by the tunnel."""
    authorized = {"Authorization": f"Bearer {key}"}
    async with calling(stack.url, authorized) as caller:
        await caller.wait_until(lambda: len(caller.heard) > 0, "sound")
        url = f"{stack.url}{caller.location}/hangup"
        owner = {"Authorization": f"Bearer {API_KEY}"}
        async with (
            aiohttp.ClientSession(headers=owner) as http,
            http.post(url) as response,
        ):
            assert response.status == 200, await response.text()


async def status_of_offer(stack: Stack, key: str) -> int:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as http,
        http.post(f"{stack.url}/v1/realtime/calls", data=b"") as response,
    ):
        return response.status


@pytest.mark.asyncio
async def test_a_cluster_changes_its_key_without_losing_calls_or_secrets() -> None:
    settings = {"TANDEM_LINK_KEY": OLD, "TANDEM_API_KEYS": API_KEY}
    async with running_stack("echo", **settings) as stack:
        minted_before = await mint(stack)
        await hold_a_call(stack, minted_before)

        await restart(stack, stack.relay, f"{OLD},{NEW}")
        await hold_a_call(stack, minted_before)  # an edge that has the old key alone
        await restart(stack, stack.transceiver, f"{NEW},{OLD}")
        await hold_a_call(stack, minted_before)
        minted_after = await mint(stack)

        await restart(stack, stack.relay, NEW)
        await hold_a_call(stack, minted_before)
        await restart(stack, stack.transceiver, NEW)
        await hold_a_call(stack, minted_after)
        assert await status_of_offer(stack, minted_before) == 401
