"""A rush of offers: live calls get the loop in between."""

import asyncio
from typing import cast

import pytest

from proto.udp import Dialer
from runtime.stop import Stop
from transceiver import calls as calls_module
from transceiver.admission import Admission
from transceiver.call import Call, CallRequest
from transceiver.calls import Calls
from transceiver.metrics import Metrics
from transceiver.uplink import Uplink
from transceiver.webrtc import ice
from transceiver.webrtc.ice import UdpPort


class NoSocket:
    """Stands where the port's socket would be bound."""

    address = ("192.0.2.1", 4000)
    dropped_sends = 0

    def __init__(self, *_: object, **__: object) -> None: ...


class OneRelay:
    """Is always there."""

    def choose(self) -> Dialer:
        return cast(Dialer, self)


@pytest.mark.asyncio
async def test_few_answers_are_made_at_a_time_and_all_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    under_way = most = 0

    async def answer(call: Call, request: CallRequest, relay: Dialer) -> str:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        call.stop()
        return "answer"

    monkeypatch.setattr(ice, "UdpSocket", NoSocket)
    monkeypatch.setattr(Call, "answer", answer)
    port = UdpPort("192.0.2.1", 4000, None, with_loopback=False)
    metrics = Metrics(port.dropped)
    calls = Calls(port, cast(Uplink, OneRelay()), metrics, Admission(max_calls=50))
    stop = Stop(grace_s=0.0)
    running = asyncio.create_task(calls.run(stop))
    offers = [calls.open(CallRequest("offer", "open")) for _ in range(50)]
    answered = await asyncio.gather(*offers)
    assert [answer for _, answer in answered] == ["answer"] * 50
    assert most == calls_module.ANSWERS_AT_ONCE
    stop.set()
    await running
