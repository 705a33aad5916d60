"""What a call costs before anybody has come, and what is left of it when it is over."""

import asyncio
import contextlib
import gc
import weakref
from typing import Any, cast

import aioice
import aioice.ice
import pytest
import pytest_asyncio
from aioice.candidate import Candidate
from aiortc.exceptions import InvalidStateError
from aiortc.rtcdtlstransport import SRTP_PROFILES
from OpenSSL import SSL

from proto.errors import CloseCode
from proto.frames import UpFrame
from proto.udp import Dialer
from tests.support import clock
from tests.support.clock import HandTurnedLoop
from tests.support.freeing import no_collection
from tests.transceiver.edge import turns, unbound_port
from tests.transceiver.leg import keys
from transceiver.call import SETUP_S, Call, CallRequest, Ending
from transceiver.media import Media
from transceiver.timer import SharedTimer
from transceiver.webrtc.addresses import host_candidate
from transceiver.webrtc.agent import only_answer
from transceiver.webrtc.certificate import RENEWED_AFTER_S, Certificate, Certificates
from transceiver.webrtc.channel import guard
from transceiver.webrtc.early import MAX_EARLY_MEDIA
from transceiver.webrtc.ice import UdpPort
from transceiver.webrtc.offer import OfferError
from transceiver.webrtc.unframed import unframed

OFFER = """v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
a=fingerprint:sha-256 {digest}
a=group:BUNDLE 0 1
m=audio 9 UDP/TLS/RTP/SAVPF 109
c=IN IP4 0.0.0.0
a=sendrecv
a=ice-pwd:0f7a3c9b5d1e8246af91c03be57d62a4
a=ice-ufrag:3f9b21ac
a=mid:0
a=rtcp-mux
a=rtpmap:109 opus/48000/2
a=setup:actpass
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=ice-pwd:0f7a3c9b5d1e8246af91c03be57d62a4
a=ice-ufrag:3f9b21ac
a=mid:1
a=setup:actpass
a=sctp-port:5000
""".format(digest=":".join(["7B"] * 32))


class OneRelay:
    """Takes a session, and says nothing."""

    frame_counts = None

    def open_session(self, request: bytes, receiver: object) -> "OneRelay":
        return self

    def close(self, code: CloseCode, reason: str) -> None: ...


@pytest_asyncio.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> UdpPort:
    """A port without a socket."""
    return unbound_port(monkeypatch)


@pytest_asyncio.fixture
async def complaints() -> list[dict[str, Any]]:
    """What the loop complains of: tasks of nobody that raise, for one."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: complaints.append(context)
    )
    return complaints


def timers() -> int:
    """Return how many timers of the loop are running."""
    loop: Any = asyncio.get_running_loop()
    return sum(not handle.cancelled() for handle in loop._scheduled)


def an_agent() -> aioice.Connection:
    """Return an agent that has been told of its peer, and only answers."""
    agent = aioice.Connection(ice_controlling=False)
    agent.remote_username, agent.remote_password = "theirs", "p" * 22

    async def candidates(*_: object) -> list[Candidate]:
        return [host_candidate("192.0.2.1", 4000, 0)]

    patched: Any = agent
    patched.get_component_candidates = candidates  # as the port does
    only_answer(agent)
    return agent


@pytest.mark.asyncio
async def test_an_agent_gathers_without_looking_at_interfaces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look(*_: object, **__: object) -> list[str]:
        raise AssertionError("looked")

    monkeypatch.setattr(aioice.ice, "get_host_addresses", look)
    agent = an_agent()
    await agent.gather_candidates()
    assert [one.host for one in agent.local_candidates] == ["192.0.2.1"]


@pytest.mark.asyncio
async def test_media_that_come_before_the_keys_are_taken_when_they_are_there(
    port: UdpPort,
) -> None:
    leg = port.attach(an_agent())
    caller = ("198.51.100.7", 5000)
    port._bind(caller, leg)
    count = MAX_EARLY_MEDIA + 2
    sent = [bytes([0x80, number]) for number in range(count + 1)]
    for datagram in sent[:count]:
        port._datagram_received(datagram, caller)
    taken: list[bytes] = []
    leg.hear(lambda data, _: taken.append(data))
    port._datagram_received(sent[count], caller)
    assert taken == sent[2:]


@pytest.mark.asyncio
async def test_media_that_come_early_for_a_call_that_ends_are_let_go(
    port: UdpPort,
) -> None:
    leg = port.attach(an_agent())
    caller = ("198.51.100.7", 5000)
    port._bind(caller, leg)
    port._datagram_received(b"\x80early", caller)
    leg.detach()
    port._datagram_received(b"\x80late", caller)
    taken: list[bytes] = []
    leg.hear(lambda data, _: taken.append(data))
    assert taken == []
    assert port.counters.unknown_source == 1


@pytest.mark.asyncio
async def test_an_agent_whose_peer_does_not_come_wakes_nobody() -> None:
    agent = an_agent()
    await agent.gather_candidates()
    connecting = asyncio.create_task(agent.connect())
    await turns()
    assert not connecting.done()
    assert timers() == 0
    await agent.close()
    with pytest.raises(InvalidStateError):
        await connecting


@pytest.mark.asyncio
async def test_a_call_that_nobody_followed_up_leaves_nothing(
    port: UdpPort, complaints: list[dict[str, Any]]
) -> None:
    before = asyncio.all_tasks()
    timer = SharedTimer(asyncio.get_running_loop())
    call = Call("rtc_1", port, timer)
    await call.answer(CallRequest(OFFER, "open"), cast(Dialer, OneRelay()))
    held = weakref.ref(call), weakref.ref(call._peer), weakref.ref(call._peer._dtls)
    running = asyncio.create_task(call.run())
    await turns()
    call.end(CloseCode.TIMEOUT, "nobody came")
    await running
    await turns()
    assert asyncio.all_tasks() == before
    assert timers() == 0
    del call, running
    gc.collect()
    assert [one() for one in held] == [None, None, None]
    assert complaints == []


def test_a_channel_that_opens_too_late_is_waited_for_no_longer_than_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hold() -> tuple[CloseCode, float]:
        loop = asyncio.get_running_loop()
        call = Call("rtc_1", unbound_port(monkeypatch), SharedTimer(loop))
        await call.answer(CallRequest(OFFER, "open"), cast(Dialer, OneRelay()))
        running = asyncio.create_task(call.run())
        await asyncio.sleep(SETUP_S - 1)
        call.event_received(b'{"type": "error"}')
        call.closed(CloseCode.UPSTREAM_LOST, "gone")
        return (await running).code, loop.time()

    assert clock.run(hold()) == (CloseCode.UPSTREAM_LOST, SETUP_S)


@pytest.mark.asyncio
async def test_a_connection_goes_without_a_collection(port: UdpPort) -> None:
    timer = SharedTimer(asyncio.get_running_loop())
    call = Call("rtc_1", port, timer)
    await call.answer(CallRequest(OFFER, "open"), cast(Dialer, OneRelay()))
    await turns()
    connection, dtls = call._peer._connection, call._peer._dtls
    sctp: Any = connection.sctp
    ice_transport, leg = dtls.transport, call._peer.leg
    assert leg is not None
    parts = [connection, sctp, dtls, ice_transport, leg.protocol]
    held = [weakref.ref(part) for part in [*parts, ice_transport._connection]]
    del connection, sctp, dtls, ice_transport, leg, parts
    with no_collection():
        await call.release(Ending(CloseCode.NORMAL, "over"))
        del call
        await turns()
        assert [one() for one in held] == [None] * len(held)


@pytest.mark.asyncio
async def test_a_timer_that_starts_as_the_call_ends_does_not_ring(
    port: UdpPort,
) -> None:
    call = Call("rtc_1", port, SharedTimer(asyncio.get_running_loop()))
    await call.answer(CallRequest(OFFER, "open"), cast(Dialer, OneRelay()))
    sctp: Any = call._peer._connection.sctp
    stop = sctp.stop

    async def stop_while_sending() -> None:
        await stop()
        sctp._t3_start()

    sctp.stop = stop_while_sending
    await call.release(Ending(CloseCode.NORMAL, "over"))
    assert timers() == 0


def test_closed_media_go_without_a_collection() -> None:
    def up(frame: UpFrame) -> None: ...

    media = Media(keys(), lambda _: None, up, SharedTimer(HandTurnedLoop()))
    held = weakref.ref(up)
    with no_collection():
        media.close()
        del media, up
        assert held() is None


@pytest.mark.asyncio
async def test_an_error_that_begins_anew_leaves_its_future_free() -> None:
    async def fail() -> None:
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(ConnectionError())
        held.append(weakref.ref(failed))
        await failed

    held: list[weakref.ref[asyncio.Future[None]]] = []
    with no_collection():
        with contextlib.suppress(ConnectionError):
            await unframed(fail, ConnectionError)()
        assert held[0]() is None


@pytest.mark.asyncio
async def test_an_offer_that_is_refused_leaves_nothing(
    port: UdpPort, complaints: list[dict[str, Any]]
) -> None:
    before = asyncio.all_tasks()
    call = Call("rtc_1", port, SharedTimer(asyncio.get_running_loop()))
    held = weakref.ref(call), weakref.ref(call._peer)
    with pytest.raises(OfferError):
        await call.answer(
            CallRequest(OFFER.replace("opus", "L16"), "open"),
            cast(Dialer, OneRelay()),
        )
    await call._peer.close()
    await turns()
    assert asyncio.all_tasks() == before
    del call
    gc.collect()
    assert [one() for one in held] == [None, None]
    assert complaints == []


def test_a_certificate_is_read_by_openssl_once() -> None:
    certificate = Certificate.generateCertificate()
    context = certificate._create_ssl_context(SRTP_PROFILES)
    assert certificate._create_ssl_context(list(SRTP_PROFILES)) is context
    assert certificate._create_ssl_context(SRTP_PROFILES[:1]) is not context
    assert certificate.getFingerprints() is certificate.getFingerprints()


def test_new_calls_get_a_new_certificate_each_day() -> None:
    certificates = Certificates()
    first = certificates.current(5.0)
    assert certificates.current(5.0 + RENEWED_AFTER_S) is first
    second = certificates.current(5.1 + RENEWED_AFTER_S)
    assert second is not first
    assert certificates.current(5.2 + RENEWED_AFTER_S) is second


class UnsentSctp:
    """Has something to say after the connection is gone."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def _handle_data(self, data: bytes) -> None: ...

    async def _send_chunk(self, chunk: object) -> None:
        raise self._error


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "error",
    [ConnectionError("not connected"), SSL.Error([("", "", "protocol is shutdown")])],
)
async def test_what_cannot_be_sent_any_more_is_dropped(error: Exception) -> None:
    sctp = UnsentSctp(error)
    guard(sctp, lambda _: None)
    await sctp._send_chunk(b"")
