"""A call that is offered but never connects gives back all that it held."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest
import pytest_asyncio

from proto.errors import CloseCode
from proto.stats import FrameCounts
from proto.udp import Dialer
from runtime.stop import Stop
from tests.support.caller import Caller
from transceiver import call as call_module
from transceiver.admission import Admission, Full
from transceiver.call import REFUSED, Call, CallRequest, Ending
from transceiver.calls import Calls
from transceiver.metrics import Metrics
from transceiver.timer import SharedTimer
from transceiver.uplink import NoRelay, Uplink
from transceiver.webrtc.ice import UdpPort

pytestmark = pytest.mark.interop


class FakeRelay:
    """Takes one session and remembers how it was closed; the only relay to choose."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.receiver: Call | None = None
        self.closed_with: CloseCode | None = None
        self.frame_counts = FrameCounts()

    async def sure(self) -> None: ...

    def choose(self, *, but: Collection[Dialer] = ()) -> "FakeRelay":
        return self

    def open_session(self, request: bytes, receiver: Call) -> "FakeRelay":
        self.receiver = receiver
        self.asked.set()
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
    answer = await call.answer(CallRequest(offer, "open"), cast(Dialer, relay))
    ufrag = answer.partition("a=ice-ufrag:")[2].split()[0]
    assert ufrag in port._by_ufrag
    ending = await call.run()
    assert ending.code is CloseCode.TIMEOUT
    assert relay.closed_with is CloseCode.TIMEOUT
    assert ufrag not in port._by_ufrag
    port.close()
    await client.close()


@pytest_asyncio.fixture
async def port() -> AsyncIterator[UdpPort]:
    """A port on which nothing may be left."""
    port = UdpPort("127.0.0.1", 0, None, with_loopback=True)
    yield port
    assert not port._by_ufrag
    port.close()


def calls_through(relay: FakeRelay, port: UdpPort) -> Calls:
    metrics = Metrics(port.dropped)
    return Calls(port, cast(Uplink, relay), metrics, Admission(max_calls=1))


@pytest.mark.asyncio
async def test_an_edge_that_stops_waits_for_no_channel_to_open(port: UdpPort) -> None:
    client, relay, stop = Caller(), FakeRelay(), Stop()
    calls = calls_through(relay, port)
    async with asyncio.timeout(10):  # the channel has 30 s
        running = asyncio.create_task(calls.run(stop))
        await calls.open(CallRequest(await client.offer(), "open"))
        assert relay.receiver is not None
        relay.receiver.event_received(b'{"type": "error"}')
        relay.receiver.closed(CloseCode.UPSTREAM_LOST, "gone")
        await asyncio.sleep(0.05)
        assert len(calls) == 1
        stop.set()
        await running
    await client.close()


@pytest.mark.asyncio
async def test_a_call_answered_while_the_edge_stops_is_refused(
    port: UdpPort, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, relay, stop = Caller(), FakeRelay(), Stop()
    calls = calls_through(relay, port)
    offer = await client.offer()
    stopped_meanwhile = asyncio.Event()
    answer = Call.answer

    async def answer_slowly(call: Call, request: CallRequest, relay: Dialer) -> str:
        answered = await answer(call, request, relay)
        await stopped_meanwhile.wait()
        return answered

    monkeypatch.setattr(Call, "answer", answer_slowly)
    running = asyncio.create_task(calls.run(stop))
    opening = asyncio.create_task(calls.open(CallRequest(offer, "open")))
    await relay.asked.wait()
    stop.set()
    await running
    stopped_meanwhile.set()
    with pytest.raises(Full):
        await opening
    assert relay.closed_with is CloseCode.DRAINING
    await client.close()


def test_a_call_has_at_most_30_s_to_connect() -> None:
    assert call_module.SETUP_S <= 30


class NotingRelay(FakeRelay):
    """Notes what it is told; is never asked to choose."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[bytes] = []

    def send_event(self, payload: bytes) -> None:
        self.told.append(payload)


@asynccontextmanager
async def answered_call(
    port: UdpPort, *relays: NotingRelay
) -> AsyncIterator[tuple[Call, list[CloseCode]]]:
    """Answer a call by the first relay; the others are asked in turn."""
    codes: list[CloseCode] = []

    def elsewhere(tried: Sequence[Dialer], code: CloseCode) -> Dialer:
        codes.append(code)
        if len(tried) == len(relays):
            raise NoRelay("no more")
        return cast(Dialer, relays[len(tried)])

    client = Caller()
    timer = SharedTimer(asyncio.get_running_loop())
    call = Call("rtc_1", port, timer, elsewhere)
    request = CallRequest(await client.offer(), "open")
    await call.answer(request, cast(Dialer, relays[0]))
    try:
        yield call, codes
    finally:
        await call.release(Ending(CloseCode.NORMAL, "over"))
        await client.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("code", sorted(REFUSED))
async def test_the_next_relay_is_told_what_the_client_has_said(
    port: UdpPort, code: CloseCode
) -> None:
    first, second = NotingRelay(), NotingRelay()
    async with answered_call(port, first, second) as (call, codes):
        call._client_event_received("one")
        call._client_event_received("two")
        call.closed(code, "not here")
        call._client_event_received("three")
        assert first.told == [b"one", b"two"]
        assert second.told == [b"one", b"two", b"three"]
        assert codes == [code]
        assert not call._ended.done()


@pytest.mark.asyncio
async def test_a_call_that_a_relay_has_taken_stays_with_it(port: UdpPort) -> None:
    async with answered_call(port, NotingRelay(), NotingRelay()) as (call, codes):
        call.event_received(b'{"type": "session.created"}')
        call.closed(CloseCode.DRAINING, "the grace is over")
        assert codes == []
        assert call._ended.result().code is CloseCode.DRAINING


@pytest.mark.asyncio
async def test_a_client_that_has_said_too_much_stays_with_its_relay(
    port: UdpPort,
) -> None:
    async with answered_call(port, NotingRelay(), NotingRelay()) as (call, codes):
        call._client_event_received("x" * (call_module.MAX_EARLY_BYTES + 1))
        call.closed(CloseCode.DRAINING, "not here")
        assert codes == []
        assert call._ended.done()


@pytest.mark.asyncio
async def test_a_call_that_no_relay_takes_ends_and_is_told(port: UdpPort) -> None:
    async with answered_call(port, NotingRelay(), NotingRelay()) as (call, codes):
        call.closed(CloseCode.LINK_LOST, "lost")
        call.closed(CloseCode.DRAINING, "not here")
        assert codes == [CloseCode.LINK_LOST, CloseCode.DRAINING]
        assert call._ended.result().code is CloseCode.DRAINING
        assert call._waiting_events is not None
        (told,) = call._waiting_events
        assert b"relay_lost" in told
