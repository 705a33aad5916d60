"""The public door in this process; its relay only notes what it is asked for."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, cast

import aiohttp

from proto.errors import CloseCode
from proto.request import SessionRequest
from proto.stats import FrameCounts
from proto.udp import Dialer, SessionReceiver
from runtime.listening import bound
from runtime.settings import Address
from runtime.stop import Stop
from transceiver.admission import Admission
from transceiver.auth import KeyRing
from transceiver.calls import Calls
from transceiver.client_secrets import ClientSecret, ClientSecrets
from transceiver.http.application import application
from transceiver.http.calls import call_routes
from transceiver.http.client_secrets import client_secret_routes
from transceiver.http.server import listening
from transceiver.metrics import Metrics
from transceiver.tunnel import Refusal
from transceiver.uplink import Uplink
from transceiver.webrtc.ice import UdpPort

KEY = "sk-of-the-front-door"
LINK_KEY = bytes(range(32))


class NotingControl:
    """Has one call of one tenant, and notes who reached for which."""

    def __init__(self) -> None:
        self.has: tuple[str, str] | None = None
        self.asked: list[tuple[str, str]] = []

    async def hang_up(self, call_id: str, tenant: str) -> None:
        await self.describe(call_id, tenant)
        self.has = None

    async def describe(self, call_id: str, tenant: str) -> Mapping[str, Any]:
        self.asked.append((call_id, tenant))
        if self.has != (call_id, tenant):
            raise Refusal(404, "call_not_found", "no such call")
        return {"id": call_id, "object": "realtime.call", "status": "in_progress"}


class NotingRelay:
    """Takes every session, and notes what it was asked for."""

    frame_counts = FrameCounts()

    def __init__(self) -> None:
        self.requests: list[SessionRequest] = []

    async def sure(self) -> None: ...

    def choose(self, *, but: Collection[Dialer] = ()) -> "NotingRelay":
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
    control: NotingControl
    admission: Admission
    http: aiohttp.ClientSession
    keys: KeyRing
    client_secrets: ClientSecrets

    def minted(self, expires_at_s: int = 2_000_000) -> str:
        """Return a client secret of KEY, made without asking the door."""
        tenant = self.keys.identify(KEY).tenant
        return self.client_secrets.mint(ClientSecret(tenant, expires_at_s, {}, False))


@contextlib.asynccontextmanager
async def front_door(
    *keys: str,
    max_calls: int = 8,
    max_calls_per_key: int = 0,
    wall_s: Callable[[], float] = lambda: 1_000_000.5,
) -> AsyncIterator[FrontDoor]:
    """Open the door for the length of a block."""
    relay, control, stop = NotingRelay(), NotingControl(), Stop()
    admission = Admission(max_calls=max_calls, max_calls_per_key=max_calls_per_key)
    port = UdpPort("127.0.0.1", 0, None, with_loopback=True)
    metrics = Metrics(port.dropped)
    calls = Calls(port, cast(Uplink, relay), metrics, admission)
    client_secrets = ClientSecrets(LINK_KEY)
    ring = KeyRing(keys, client_secrets, wall_s)
    routes = [
        *call_routes(calls, ring, control),
        *client_secret_routes(ring, client_secrets, wall_s),
    ]
    app = application(routes, metrics.refused.inc)
    try:
        async with (
            listening(app, bound(Address("127.0.0.1", 0)), None) as address,
            aiohttp.ClientSession() as http,
            asyncio.TaskGroup() as group,
        ):
            group.create_task(calls.run(stop))
            url = f"http://{address}"
            yield FrontDoor(url, relay, control, admission, http, ring, client_secrets)
            stop.set()
    finally:
        port.close()
