"""A rush of offers: live calls get the loop in between."""

import asyncio

import pytest

from proto.errors import CloseCode
from proto.udp import Dialer
from tests.transceiver.edge import taking_calls
from transceiver import calls as calls_module
from transceiver.call import Call, CallRequest


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
        call.stop(CloseCode.NORMAL, "over")
        return "answer"

    async with taking_calls(monkeypatch, answer, max_calls=50) as calls:
        offers = [calls.open(CallRequest("offer", "open")) for _ in range(50)]
        answered = await asyncio.gather(*offers)
    assert [answer for _, answer in answered] == ["answer"] * 50
    assert most == calls_module.ANSWERS_AT_ONCE
