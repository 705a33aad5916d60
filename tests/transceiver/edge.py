"""An edge's calls with no socket beneath, and one relay that is always there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import pytest

from proto.udp import Dialer
from runtime.stop import Stop
from runtime.udp import UdpAddress
from transceiver.admission import Admission
from transceiver.call import Call, CallRequest
from transceiver.calls import Calls
from transceiver.metrics import Metrics
from transceiver.uplink import Uplink
from transceiver.webrtc import ice
from transceiver.webrtc.ice import UdpPort

Answer = Callable[[Call, CallRequest, Dialer], Awaitable[str]]


class NoSocket:
    """Stands where the port's socket would be bound."""

    address: UdpAddress = ("192.0.2.1", 4000)
    dropped_sends = 0

    def __init__(self, *_: object, **__: object) -> None: ...

    def send(self, data: bytes, address: UdpAddress) -> None: ...

    def close(self) -> None: ...


class _OneRelay:
    async def sure(self) -> None: ...

    def choose(self) -> Dialer:
        return cast(Dialer, self)


async def turns() -> None:
    """Let everything happen that waits for no time to pass."""
    for _ in range(40):
        await asyncio.sleep(0)


def unbound_port(monkeypatch: pytest.MonkeyPatch) -> UdpPort:
    """Return a port without a socket."""
    monkeypatch.setattr(ice, "UdpSocket", NoSocket)
    return UdpPort("192.0.2.1", 4000, None, with_loopback=False)


@contextlib.asynccontextmanager
async def taking_calls(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, max_calls: int
) -> AsyncIterator[Calls]:
    """Take calls meanwhile, each of which is answered so."""
    monkeypatch.setattr(Call, "answer", answer)
    port = unbound_port(monkeypatch)
    metrics, admission = Metrics(port.dropped), Admission(max_calls=max_calls)
    calls = Calls(port, cast(Uplink, _OneRelay()), metrics, admission)
    stop = Stop(grace_s=0.0)
    running = asyncio.create_task(calls.run(stop))
    await turns()  # for the group of tasks to be there
    yield calls
    stop.set()
    await running
