"""The public door in this process; its relay only notes what it is asked for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import cast

import aiohttp
from aiohttp import web

from proto.errors import CloseCode
from proto.request import SessionRequest
from proto.udp import SessionReceiver
from transceiver.admission import Admission
from transceiver.auth import KeyRing
from transceiver.calls import Calls
from transceiver.client_secrets import ClientSecrets
from transceiver.http.application import application
from transceiver.http.calls import call_routes
from transceiver.http.client_secrets import client_secret_routes
from transceiver.metrics import Metrics
from transceiver.service import MAX_FIELD_BYTES
from transceiver.uplink import Uplink
from transceiver.webrtc.ice import UdpPort

KEY = "sk-of-the-front-door"
LINK_KEY = bytes(range(32))


class NotingRelay:
    """Takes every session, and notes what it was asked for."""

    def __init__(self) -> None:
        self.requests: list[SessionRequest] = []

    def choose(self) -> "NotingRelay":
        return self

    def open_session(self, request: bytes, receiver: SessionReceiver) -> "NotingRelay":
        self.requests.append(SessionRequest.decode(request))
        return self

    def close(self, code: CloseCode, reason: str) -> None:
        """Nothing to free."""


@dataclass
class FrontDoor:
    """What a test sees of it."""

    url: str
    relay: NotingRelay
    admission: Admission
    http: aiohttp.ClientSession
    client_secrets: ClientSecrets


@contextlib.asynccontextmanager
async def front_door(
    *keys: str,
    max_calls: int = 8,
    max_calls_per_key: int = 0,
    wall_s: Callable[[], float] = lambda: 1_000_000.5,
) -> AsyncIterator[FrontDoor]:
    """Open the door for the length of a block."""
    relay, stop = NotingRelay(), asyncio.Event()
    admission = Admission(max_calls=max_calls, max_calls_per_key=max_calls_per_key)
    port = UdpPort("127.0.0.1", 0, None, with_loopback=True)
    calls = Calls(port, cast(Uplink, relay), Metrics(port.dropped), admission)
    client_secrets = ClientSecrets(LINK_KEY)
    ring = KeyRing(keys, client_secrets, wall_s)
    routes = [
        *call_routes(calls, ring),
        *client_secret_routes(ring, client_secrets, wall_s),
    ]
    runner = web.AppRunner(application(routes), max_field_size=MAX_FIELD_BYTES)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = "http://{}:{}".format(*runner.addresses[0])
        async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
            group.create_task(calls.run(stop))
            yield FrontDoor(url, relay, admission, http, client_secrets)
            stop.set()
    finally:
        await runner.cleanup()
        port.close()
