"""The WebSocket door with a client of another make, and a relay that tests hold."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from prometheus_client import Gauge
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from proto.channel import MAX_MESSAGE_BYTES
from proto.request import SessionRequest
from proto.tunnel import Attach, Converse, Facts, Refused, TunnelRequest
from relay.door import Conversation, Door
from runtime.listening import bound
from runtime.settings import Address
from tests.support.tunnels import KEY as LINK_KEY, Echo, Talk, running_door, tunnels_to
from tests.support.waiting import LIMIT_S, until
from transceiver.admission import Admission
from transceiver.auth import KeyRing
from transceiver.client_secrets import ClientSecret, ClientSecrets
from transceiver.http import realtime
from transceiver.http.application import application
from transceiver.http.server import listening

KEY = "sk-of-the-websocket-door"
NOW_S = 1_000_000
UPGRADE = {
    "Host": "edge",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
SESSION = {"type": "realtime", "instructions": "Be brief.", "model": "of-the-secret"}


@dataclass
class Edge:
    """The public door, and what its relay is asked."""

    url: str
    secrets: ClientSecrets
    admission: Admission
    stop: asyncio.Event
    relay: Door
    held: Gauge
    asked: list[TunnelRequest] = field(default_factory=list)

    @property
    def wanted(self) -> SessionRequest:
        """The session that was asked for last."""
        last = self.asked[-1]
        assert isinstance(last, Converse)
        return last.request

    def minted(self, *, locked: bool = False, expires_at_s: int = NOW_S + 60) -> str:
        """Return a client secret of KEY's tenant."""
        tenant = KeyRing((KEY,), self.secrets, lambda: NOW_S).identify(KEY).tenant
        return self.secrets.mint(ClientSecret(tenant, expires_at_s, SESSION, locked))

    def dial(self, query: str = "?model=m", **options: Any) -> connect:
        """Dial with the API key, unless told otherwise."""
        options.setdefault("additional_headers", {"Authorization": f"Bearer {KEY}"})
        address = self.url.replace("http:", "ws:") + f"/v1/realtime{query}"
        return connect(address, max_size=None, proxy=None, compression=None, **options)


Answer = Callable[[TunnelRequest], Conversation | Facts | Refused]


@contextlib.asynccontextmanager
async def edge(
    answer: Answer = lambda _: Echo(),
    *,
    max_calls: int = 8,
    max_calls_per_key: int = 0,
) -> AsyncIterator[Edge]:
    """Run the public door, and a relay that answers so."""
    secrets = ClientSecrets(LINK_KEY)
    admission = Admission(max_calls=max_calls, max_calls_per_key=max_calls_per_key)
    stop = asyncio.Event()
    asked: list[TunnelRequest] = []

    def noting(request: TunnelRequest) -> Conversation | Facts | Refused:
        asked.append(request)
        return answer(request)

    async with (
        running_door(noting) as door,
        tunnels_to(door.address) as (tunnels, _),
    ):
        keys = KeyRing((KEY,), secrets, lambda: NOW_S)
        held = Gauge("websockets", "", ["kind"], registry=None)
        routes = realtime.realtime_routes(keys, admission, tunnels, held, stop)
        app = application(routes, lambda: None)
        async with listening(app, bound(Address("127.0.0.1", 0)), None) as address:
            url = f"http://{address}"
            yield Edge(url, secrets, admission, stop, door, held, asked)
            stop.set()


async def refusal(dialling: connect) -> tuple[int, dict[str, Any], Any]:
    """Return status, error and headers of a refused upgrade."""
    with pytest.raises(InvalidStatus) as refused:
        async with dialling:
            pass
    response = refused.value.response
    assert response.body is not None
    return response.status_code, json.loads(response.body)["error"], response.headers


async def closed(websocket: ClientConnection) -> tuple[int, str]:
    """Read until the close, and return its code and reason."""
    async with asyncio.timeout(LIMIT_S):
        with contextlib.suppress(ConnectionClosed):
            async for _ in websocket:
                pass
    return websocket.close_code or 0, websocket.close_reason or ""


async def nothing_left(door: Edge) -> None:
    """Wait until edge and relay have freed what their clients held."""
    await until(lambda: not len(door.relay) and not len(door.admission))


# --- who gets in, and what the relay is told ---


@pytest.mark.asyncio
async def test_a_session_is_asked_for_as_the_client_wishes() -> None:
    async with edge() as door:
        async with door.dial("?model=gpt-realtime"):
            wanted = door.wanted
        assert wanted.call_id.startswith("sess_")
        assert wanted.tenant.startswith("key-")
        assert wanted.model == "gpt-realtime"
        assert (wanted.session, wanted.bound, wanted.max_event_bytes) == (
            None,
            None,
            None,
        )
        assert not wanted.speaks_beta
        async with door.dial("?intent=transcription"):
            assert door.wanted.session == {"type": "transcription"}
            assert door.wanted.call_id != wanted.call_id
        async with door.dial(""):
            assert door.wanted.model is None


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "offered",
    [
        ["realtime", f"openai-insecure-api-key.{KEY}"],
        ["x.y", f"openai-insecure-api-key.{KEY}", "realtime", "openai-project.p"],
    ],
)
async def test_a_browser_s_key_comes_as_a_subprotocol(offered: list[str]) -> None:
    subprotocols = [Subprotocol(name) for name in offered]
    async with (
        edge() as door,
        door.dial(additional_headers={}, subprotocols=subprotocols) as websocket,
    ):
        assert websocket.subprotocol == "realtime"
        await websocket.send("hello")
        assert await websocket.recv() == "hello"


@pytest.mark.asyncio
async def test_a_key_among_unknown_subprotocols_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    offered = [Subprotocol(f"openai-insecure-api-key.{KEY}")]
    async with (
        edge() as door,
        door.dial(additional_headers={}, subprotocols=offered) as websocket,
    ):
        assert websocket.subprotocol is None
    assert KEY not in "".join(
        record.getMessage() + str(vars(record))
        for record in caplog.records
        if not record.name.startswith("websockets")  # the client's own
    )


@pytest.mark.asyncio
@pytest.mark.parametrize("by_header", [True, False])
async def test_beta_clients_are_known(by_header: bool) -> None:
    key = f"openai-insecure-api-key.{KEY}"
    names = ["realtime", key, "openai-beta.realtime-v1"]
    options: dict[str, Any] = {
        "additional_headers": {},
        "subprotocols": [Subprotocol(name) for name in names],
    }
    if by_header:
        headers = {"Authorization": f"Bearer {KEY}", "OpenAI-Beta": "realtime=v1"}
        options = {"additional_headers": headers}
    async with edge() as door, door.dial(**options):
        assert door.wanted.speaks_beta


@pytest.mark.asyncio
@pytest.mark.parametrize("locked", [True, False])
async def test_a_client_secret_brings_its_session(locked: bool) -> None:
    async with edge() as door:
        headers = {"Authorization": f"Bearer {door.minted(locked=locked)}"}
        async with door.dial("?model=other", additional_headers=headers):
            wanted = door.wanted
    assert (wanted.bound if locked else wanted.session) == SESSION
    assert wanted.bound == (SESSION if locked else None)
    assert wanted.model == ("of-the-secret" if locked else "other")


@pytest.mark.asyncio
async def test_a_wrong_or_missing_key_is_401() -> None:
    async with edge() as door:
        wrong = {"Authorization": "Bearer sk-wrong"}
        expired = {"Authorization": f"Bearer {door.minted(expires_at_s=NOW_S)}"}
        for headers in ({}, wrong, expired):
            status, error, _ = await refusal(door.dial(additional_headers=headers))
            assert (status, error["code"]) == (401, "invalid_api_key")
        assert door.asked == []


@pytest.mark.asyncio
async def test_a_client_secret_may_not_attach() -> None:
    async with edge() as door:
        headers = {"Authorization": f"Bearer {door.minted()}"}
        dialling = door.dial("?call_id=rtc_1", additional_headers=headers)
        assert (await refusal(dialling))[0] == 403
        assert door.asked == []


@pytest.mark.asyncio
async def test_a_server_attaches_to_a_call_of_its_tenant() -> None:
    async with edge(max_calls=1) as door, door.dial(), door.dial("?call_id=rtc_1"):
        asked = door.asked[-1]
        assert isinstance(asked, Attach)
        assert (asked.call_id, asked.speaks_beta) == ("rtc_1", False)
        assert asked.tenant.startswith("key-")


@pytest.mark.asyncio
async def test_a_call_that_nobody_has_is_404() -> None:
    unknown = Refused(404, "call_not_found", "no such call")
    async with edge(lambda _: unknown) as door:
        for query in ("?call_id=rtc_1", "?call_id=", "?call_id=rtc_1&model=m"):
            status, error, headers = await refusal(door.dial(query))
            assert (status, error["code"]) == (404, "call_not_found")
            assert headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.asyncio
async def test_a_name_of_absurd_length_is_400() -> None:
    async with edge() as door:
        for name in ("model", "call_id"):
            status, error, _ = await refusal(door.dial(f"?{name}={'x' * 257}"))
            assert (status, error["param"]) == (400, name)


@pytest.mark.asyncio
async def test_a_key_with_all_its_sessions_is_429() -> None:
    async with edge(max_calls_per_key=1) as door, door.dial():
        status, error, headers = await refusal(door.dial())
        assert (status, error["type"]) == (429, "rate_limit_error")
        assert int(headers["Retry-After"]) > 0


@pytest.mark.asyncio
async def test_no_room_or_no_relay_is_503_and_the_slot_comes_free() -> None:
    full = Refused(503, "server_overloaded", "full")
    async with edge(max_calls=1) as door:
        async with door.dial():
            status, error, headers = await refusal(door.dial())
            assert (status, error["type"]) == (503, "server_error")
            assert int(headers["Retry-After"]) > 0
        await nothing_left(door)
        async with door.dial():
            pass
    async with edge(lambda _: full) as door:
        assert (await refusal(door.dial()))[0] == 503
        assert len(door.admission) == 0
        door.admission.drain()
        assert (await refusal(door.dial()))[0] == 503


@pytest.mark.asyncio
async def test_what_is_no_upgrade_is_400() -> None:
    async with edge() as door, aiohttp.ClientSession() as http:
        headers = {"Authorization": f"Bearer {KEY}"}
        async with http.get(f"{door.url}/v1/realtime", headers=headers) as response:
            assert response.status == 400
            assert (await response.json())["error"]["code"] == "websocket_required"

        async with http.head(
            f"{door.url}/v1/realtime", headers=headers | UPGRADE
        ) as response:
            assert response.status == 405


@pytest.mark.asyncio
async def test_a_header_need_not_be_utf8() -> None:
    async with edge() as door:
        host, _, port = door.url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        headers = UPGRADE | {"Authorization": f"Bearer {KEY}", "X-Name": "J\xfcrgen"}
        lines = [f"{name}: {value}" for name, value in headers.items()]
        request = "\r\n".join(["GET /v1/realtime HTTP/1.1", *lines, "", ""])
        writer.write(request.encode("latin-1"))
        assert b" 101 " in await reader.readline()
        writer.transport.abort()
        await nothing_left(door)


@pytest.mark.asyncio
async def test_who_sees_a_close_can_dial_again_at_once() -> None:
    talk = Talk()
    over: list[Conversation] = [Echo(), talk, Echo()]
    async with edge(lambda _: over.pop(), max_calls=1) as door:
        async with door.dial():
            pass  # closed by the client
        async with door.dial() as websocket:
            (await talk.client).close(1001, "closed by the relay")
            await closed(websocket)
            async with door.dial():
                talk.over.set()


@pytest.mark.asyncio
async def test_websockets_are_counted_by_kind() -> None:
    async with edge() as door:
        counts = door.held.labels("session"), door.held.labels("sideband")
        async with door.dial(), door.dial("?call_id=rtc_1"), door.dial():
            assert [_value(count) for count in counts] == [2, 1]
        await until(lambda: not any(_value(count) for count in counts))


def _value(gauge: Gauge) -> float:
    return next(iter(gauge.collect())).samples[0].value


# --- events ---


@pytest.mark.asyncio
async def test_events_pass_both_ways_in_order_and_as_text() -> None:
    async with edge() as door, door.dial() as websocket:
        sent = [f"event {number} ä" for number in range(500)]
        for text in sent:
            await websocket.send(text)
        assert [await websocket.recv() for _ in sent] == sent


@pytest.mark.asyncio
async def test_a_large_event_passes_and_one_over_the_limit_is_1009() -> None:
    async with edge() as door, door.dial() as websocket:
        largest = "x" * MAX_MESSAGE_BYTES
        await websocket.send(largest)
        assert await websocket.recv() == largest
        with contextlib.suppress(ConnectionClosed):
            await websocket.send(largest + "!")
        assert (await closed(websocket))[0] == 1009


@pytest.mark.asyncio
async def test_a_binary_message_is_1003() -> None:
    async with edge() as door, door.dial() as websocket:
        await websocket.send(b"\x00")
        assert await closed(websocket) == (1003, "events are JSON text")


@pytest.mark.asyncio
async def test_a_close_of_the_relay_reaches_the_client_after_its_events() -> None:
    talk = Talk()
    async with edge(lambda _: talk) as door, door.dial() as websocket:
        client = await talk.client
        client.send(b"last words")
        client.close(1013, "too slow")
        assert await websocket.recv() == "last words"
        assert await closed(websocket) == (1013, "too slow")
        talk.over.set()


@pytest.mark.asyncio
async def test_the_relay_learns_that_the_client_left() -> None:
    talk = Talk()
    async with edge(lambda _: talk) as door:
        async with door.dial():
            client = await talk.client
        assert await client.receive() is None
        talk.over.set()


@pytest.mark.asyncio
async def test_a_client_that_vanishes_frees_its_session() -> None:
    async with edge() as door:
        async with door.dial() as websocket:
            websocket.transport.abort()
        await nothing_left(door)


@pytest.mark.asyncio
async def test_a_client_that_does_not_read_holds_back_the_relay() -> None:
    talk = Talk()
    async with edge(lambda _: talk) as door, door.dial() as websocket:
        client = await talk.client
        websocket.transport.pause_reading()
        leaving = asyncio.create_task(client.receive())
        for _ in range(80):  # more than TCP's buffers and the queue hold
            client.send(bytes(1 << 20))
            await asyncio.sleep(0)
        async with asyncio.timeout(realtime.HEARTBEAT_S / 2):  # it is not what tells
            assert await leaving is None
        talk.over.set()
        websocket.transport.abort()


@pytest.mark.asyncio
async def test_an_edge_that_stops_says_1001() -> None:
    async with edge() as door, door.dial() as one, door.dial() as other:
        door.stop.set()
        for websocket in (one, other):
            assert await closed(websocket) == (1001, "the edge is stopping")


@pytest.mark.asyncio
async def test_an_edge_that_stops_cuts_off_who_does_not_read() -> None:
    talk = Talk()
    async with edge(lambda _: talk) as door, door.dial() as websocket:
        client = await talk.client
        websocket.transport.pause_reading()
        for _ in range(14):
            client.send(bytes(1 << 20))
        await asyncio.sleep(0)
        talk.over.set()
        door.stop.set()
        await nothing_left(door)
        websocket.transport.abort()


@pytest.mark.asyncio
async def test_a_client_that_answers_no_ping_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(realtime, "HEARTBEAT_S", 0.05)
    async with edge() as door, door.dial() as websocket:
        websocket.transport.pause_reading()
        await nothing_left(door)
        websocket.transport.abort()
