"""A call that is offered but never connects gives back all that it held."""

import asyncio
from typing import cast

import pytest

from proto.errors import CloseCode
from proto.udp import Dialer
from tests.support.caller import Caller
from transceiver import call as call_module
from transceiver.call import Call, CallRequest
from transceiver.ice import UdpPort
from transceiver.timer import SharedTimer

pytestmark = pytest.mark.interop


class FakeRelay:
    """Takes one session and remembers how it was closed."""

    def __init__(self) -> None:
        self.closed_with: CloseCode | None = None

    def open_session(self, request: bytes, receiver: object) -> "FakeRelay":
        return self

    def close(self, code: CloseCode, reason: str) -> None:
        self.closed_with = code


@pytest.mark.asyncio
async def test_a_call_that_never_connects_is_freed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(call_module, "SETUP_S", 0.1)
    client = Caller()
    offer = await client.offer()
    relay = FakeRelay()
    port = UdpPort("127.0.0.1", 0, None, with_loopback=True)
    call = Call("rtc_1", port, SharedTimer(asyncio.get_running_loop()))
    answer = await call.answer(CallRequest(offer, None, "open"), cast(Dialer, relay))
    ufrag = answer.partition("a=ice-ufrag:")[2].split()[0]
    assert port.has(ufrag)
    ending = await call.run()
    assert ending.code is CloseCode.TIMEOUT
    assert relay.closed_with is CloseCode.TIMEOUT
    assert not port.has(ufrag)
    port.close()
    await client.close()


def test_a_call_has_at_most_30_s_to_connect() -> None:
    assert call_module.SETUP_S <= 30
