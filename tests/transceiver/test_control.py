"""Control of calls: those that are held here need no relay for it."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from proto.errors import CloseCode
from proto.udp import Dialer
from tests.transceiver.edge import taking_calls, turns
from transceiver.call import Call, CallRequest
from transceiver.calls import Calls
from transceiver.control import Control
from transceiver.tunnel import Refusal


class OutOfReach:
    """Relays none of which answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def hang_up(self, call_id: str, tenant: str) -> None:
        await self.describe(call_id, tenant)

    async def describe(self, call_id: str, tenant: str) -> Mapping[str, Any]:
        self.asked.append((call_id, tenant))
        raise Refusal(503, "server_overloaded", "no relay can be reached")


@dataclass
class Held:
    """One call, of tenant "ours", and who controls it."""

    calls: Calls
    call_id: str
    relays: OutOfReach
    control: Control


@contextlib.asynccontextmanager
async def one_call(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Held]:
    """Hold a call here, with no relay in reach."""

    async def answer(call: Call, request: CallRequest, relay: Dialer) -> str:
        call.tenant = request.tenant
        return "answer"

    async with taking_calls(monkeypatch, answer, max_calls=1) as calls:
        call_id, _ = await calls.open(CallRequest("offer", "ours"))
        relays = OutOfReach()
        yield Held(calls, call_id, relays, Control(calls, relays))


@pytest.mark.asyncio
async def test_a_call_held_here_is_hung_up_with_no_relay_in_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with one_call(monkeypatch) as held:
        await held.control.hang_up(held.call_id, "ours")
        await turns()
        assert len(held.calls) == 0
        assert held.relays.asked == []


@pytest.mark.asyncio
async def test_a_call_that_is_just_ending_is_not_looked_for_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with one_call(monkeypatch) as held:
        await held.control.hang_up(held.call_id, "ours")
        await held.control.hang_up(held.call_id, "ours")
        assert held.relays.asked == []


@pytest.mark.asyncio
async def test_a_call_that_waits_to_pass_on_its_relays_last_words_is_hung_up_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with one_call(monkeypatch) as held:
        call = held.calls._live[held.call_id]
        call.event_received(b"{}")  # for a channel that is never opened
        call.closed(CloseCode.NORMAL, "the relay left")
        await turns()
        assert len(held.calls) == 1
        await held.control.hang_up(held.call_id, "ours")
        await turns()
        assert len(held.calls) == 0


@pytest.mark.asyncio
async def test_a_call_that_is_over_or_foreign_is_looked_for_at_the_relays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with one_call(monkeypatch) as held:
        with pytest.raises(Refusal):
            await held.control.hang_up(held.call_id, "theirs")
        await turns()
        assert len(held.calls) == 1
        await held.control.hang_up(held.call_id, "ours")
        await turns()
        with pytest.raises(Refusal):
            await held.control.hang_up(held.call_id, "ours")
        asked = [(held.call_id, "theirs"), (held.call_id, "ours")]
        assert held.relays.asked == asked
