"""A call is one trace in both services."""

import asyncio
from typing import Any, cast

import pytest

from proto.errors import CloseCode
from proto.request import SessionRequest
from proto.udp import Dialer, LinkSession
from relay.pacer import Clock
from relay.reception import Reception
from relay.sessions import Sessions
from runtime.stop import Stop
from runtime.traces import SILENT, Tracer
from tests.relay.fakes import FakeLink, FakeUpstream
from tests.support.spans import Spans
from tests.transceiver.edge import unbound_port
from tests.transceiver.test_set_up import OFFER
from transceiver.admission import Admission
from transceiver.call import Call, CallRequest
from transceiver.calls import Calls
from transceiver.media import MediaKeys
from transceiver.metrics import Metrics
from transceiver.uplink import Uplink
from transceiver.webrtc.offer import OfferError

CLIENTS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class OneRelay:
    """Takes sessions, and remembers what was asked for."""

    frame_counts = None
    is_open = False

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.caller: Any = None

    async def sure(self) -> None: ...

    def choose(self) -> Dialer:
        return cast(Dialer, self)

    def open_session(self, request: bytes, receiver: object) -> "OneRelay":
        self.asked.append(request)
        self.caller = receiver
        return self

    def close(self, code: CloseCode, reason: str) -> None: ...


async def hold_call(
    monkeypatch: pytest.MonkeyPatch, tracer: Tracer, wanted: CallRequest
) -> bytes:
    """Hold a call at an edge; return what the relay was asked for."""
    port, relay = unbound_port(monkeypatch), OneRelay()
    calls = Calls(
        port,
        cast(Uplink, relay),
        Metrics(port.dropped),
        Admission(max_calls=1),
        tracer=tracer,
    )
    stop = Stop(grace_s=0.0)
    running = asyncio.create_task(calls.run(stop))
    try:
        await calls.open(wanted)
        call: Call = relay.caller
        call._found()
        call._connected(cast(MediaKeys, None))
        call.opened()
        call.end(CloseCode.NORMAL, "the caller left")
    finally:
        stop.set()
        await running
    return relay.asked[0]


async def hold_session(tracer: Tracer, asked: bytes) -> None:
    """Hold what was asked for, at a relay."""
    clock = Clock(asyncio.get_running_loop(), lambda late_s: None)
    sessions = Sessions(lambda: 0.0)
    async with asyncio.TaskGroup() as tasks:
        reception = Reception(
            sessions, tasks, lambda _: FakeUpstream(), clock, 60.0, tracer
        )
        session = reception.accept(cast(LinkSession, FakeLink()), asked)
        assert session is not None
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        session.closed(CloseCode.NORMAL, "")
    clock.close()


@pytest.mark.asyncio
async def test_a_call_is_one_trace_from_the_offer_to_the_relays_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    edge, relay = Spans(), Spans()
    asked = await hold_call(monkeypatch, edge.tracer, CallRequest(OFFER, "open"))
    await hold_session(relay.tracer, asked)
    assert edge.parents() == {
        "offer": "call",
        "ice": "call",
        "dtls": "call",
        "session": "call",
        "call": None,
    }
    assert relay.parents() == {
        "upstream connect": "relay session",
        "relay session": None,  # that is at the edge
    }
    assert edge.traces() == relay.traces()
    (call,), (session,) = edge.named("call"), relay.named("relay session")
    assert session.parent is not None
    assert session.parent.span_id == call.context.span_id
    call_id = SessionRequest.decode(asked).call_id
    named = {"call.id": call_id, "tenant": "open", "transport": "webrtc"}
    assert edge.told("call") == [{**named, "close.code": "normal"}]
    assert relay.told("relay session") == [
        {**named, "close.code": "normal", "tool_calls": 0}
    ]


@pytest.mark.asyncio
async def test_a_clients_trace_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = Spans()
    wanted = CallRequest(OFFER, "open", traceparent=CLIENTS)
    await hold_call(monkeypatch, spans.tracer, wanted)
    assert spans.traces() == {int(CLIENTS.split("-")[1], 16)}


@pytest.mark.asyncio
async def test_a_refused_offer_is_a_failed_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spans = Spans()
    with pytest.raises(OfferError):
        await hold_call(monkeypatch, spans.tracer, CallRequest("no offer", "open"))
    (call,) = spans.named("call")
    assert call.status.description == "OfferError"


@pytest.mark.asyncio
async def test_nothing_is_asked_of_the_relay_where_nobody_listens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = CallRequest(OFFER, "open", traceparent=CLIENTS)
    asked = await hold_call(monkeypatch, SILENT, wanted)
    assert SessionRequest.decode(asked).traceparent is None


@pytest.mark.asyncio
@pytest.mark.parametrize("parent", [None, "", "nonsense", CLIENTS.replace("00", "ff")])
async def test_a_relay_begins_a_trace_of_its_own_where_it_is_told_of_none(
    parent: str | None,
) -> None:
    spans = Spans()
    request = SessionRequest(call_id="rtc_1", tenant="t", traceparent=parent)
    await hold_session(spans.tracer, request.encode())
    (session,) = spans.named("relay session")
    assert session.parent is None
