"""A client that leaves while its connection becomes a WebSocket."""

import asyncio
from typing import Any, cast

import pytest
from prometheus_client import Gauge

from proto.request import SessionRequest
from tests.support.leaving import left_during
from transceiver.admission import Admission
from transceiver.auth import KeyRing
from transceiver.client_secrets import ClientSecrets
from transceiver.http.errors import ApiError
from transceiver.http.realtime import REALTIME_PATH, realtime_routes
from transceiver.tunnel import Tunnels


class OneTunnel:
    """Tunnels that lead to one, of which it is noted that it was closed."""

    def __init__(self) -> None:
        self.closes: list[int] = []

    async def converse(self, _: SessionRequest) -> "OneTunnel":
        return self

    async def close(self, code: int, _: str) -> None:
        self.closes.append(code)


@pytest.mark.asyncio
async def test_who_leaves_during_the_upgrade_leaves_nothing_behind() -> None:
    tunnels, admission = OneTunnel(), Admission(max_calls=1)
    held = Gauge("websockets", "", ["kind"], registry=None)
    keys = KeyRing((), ClientSecrets(bytes(32)), lambda: 0)
    (route,) = realtime_routes(
        keys, admission, cast("Tunnels", tunnels), held, asyncio.Event()
    )
    handler: Any = route.handler
    with pytest.raises(ApiError, match="left during the upgrade"):
        await handler(left_during(REALTIME_PATH))
    assert tunnels.closes == [1000]
    with admission.slot("anyone"):
        assert held.labels("session")._value.get() == 0
