"""A relay in this process, with an edge's link and tunnels to it, over loopback."""

import asyncio
import base64
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import NamedTuple

import aiohttp

from proto.udp import Dialer
from relay.service import serve
from relay.settings import RelaySettings
from runtime import settings as environment
from runtime.settings import Address
from runtime.stop import Stop
from tests.support.services import free_ports
from tests.support.waiting import until
from transceiver.tunnel import Tunnels
from transceiver.uplink import Uplink


class Ways(NamedTuple):
    """How an edge reaches a relay."""

    dialer: Dialer
    tunnels: Tunnels


@contextlib.asynccontextmanager
async def running_relay(
    upstream: str, key: str = "sk-right", **settings: str
) -> AsyncIterator[Ways]:
    """Run a relay and the ways to it; stop both.

    Args:
        upstream: TANDEM_UPSTREAM.
        key: TANDEM_UPSTREAM_KEY.
        settings: Further environment variables.
    """
    link_port, http_port = free_ports(2)
    link_key = secrets.token_bytes(32)
    loaded = environment.load(
        RelaySettings,
        {
            "TANDEM_LINK_PORT": str(link_port),
            "TANDEM_RELAY_HTTP_PORT": str(http_port),
            "TANDEM_LINK_KEY": base64.b64encode(link_key).decode(),
            "TANDEM_UPSTREAM": upstream,
            "TANDEM_UPSTREAM_KEY": key,
            **settings,
        },
    )
    stop = Stop()
    uplink = Uplink([[Address("127.0.0.1", link_port)]], link_key)
    (dialer,) = uplink.dialers
    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(serve(loaded, stop))
        dialing = tasks.create_task(uplink.run())
        try:
            await until(lambda: dialer.is_up)
            yield Ways(dialer, Tunnels(http, uplink, link_key))
        finally:
            stop.set()
            await serving
            dialing.cancel()
