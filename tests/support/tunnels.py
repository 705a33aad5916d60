"""A relay's door and an edge's tunnels in one process, over loopback TCP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import aiohttp

from proto.tunnel import Facts, Refused, TunnelRequest
from relay.door import ClientEnd, Conversation, Door
from runtime.settings import Address
from transceiver.tunnel import Tunnels
from transceiver.uplink import Uplink

KEY = b"k" * 32
ANYWHERE = Address("127.0.0.1", 0)

Answer = Callable[[TunnelRequest], Conversation | Facts | Refused]


class Talk:
    """A conversation that a test holds by hand."""

    def __init__(self) -> None:
        self.client: asyncio.Future[ClientEnd] = asyncio.Future()
        self.over = asyncio.Event()
        self.was_cancelled = False

    async def run(self, client: ClientEnd) -> None:
        """Wait until told that it is over."""
        self.client.set_result(client)
        try:
            await self.over.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise


class Echo:
    """A conversation that sends back what it gets, until its client leaves."""

    async def run(self, client: ClientEnd) -> None:
        """Send everything back."""
        while (payload := await client.receive()) is not None:
            client.send(payload)


@contextlib.asynccontextmanager
async def running_door(
    answer: Answer, key: bytes = KEY, former_key: bytes | None = None
) -> AsyncIterator[Door]:
    """Run a door on a free loopback port."""
    door = Door(ANYWHERE, key, answer, former_key=former_key)
    serving = asyncio.create_task(door.run())
    await asyncio.sleep(0)  # it closes what it bound only when it has begun to run
    try:
        yield door
    finally:
        serving.cancel()
        await asyncio.wait([serving])


@contextlib.asynccontextmanager
async def tunnels_to(
    *addresses: Address, key: bytes = KEY
) -> AsyncIterator[tuple[Tunnels, Uplink]]:
    """Make tunnels to relays whose links count as up."""
    uplink = Uplink([addresses], key)
    for dialer in uplink.dialers:
        dialer.is_up = True
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        yield Tunnels(http, uplink, key), uplink
