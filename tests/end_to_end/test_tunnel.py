"""Tunnels over real sockets: a relay's door, an edge, and who should not get in."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import aiohttp.web
import pytest

from proto import channel, tunnel
from proto.channel import Channel, EdgeHandshake, tunnel_key
from proto.errors import LocalError
from proto.request import SessionRequest
from proto.tunnel import Attach, Converse, Describe, Facts, HangUp, Refused
from relay import door as relay_door
from relay.door import ClientEnd, Door
from runtime.settings import Address
from tests.support.services import free_ports
from tests.support.tunnels import ANYWHERE, KEY, Echo, Talk, running_door, tunnels_to
from tests.support.waiting import until
from transceiver import tunnel as edge
from transceiver.tunnel import Closed, Refusal, Tunnel
from transceiver.uplink import Uplink

REQUEST = SessionRequest(call_id="sess_1", tenant="t", model="m")
FORMER = b"f" * 32
UNKNOWN = Refused(404, "call_not_found", "no such call")


def echoing(_: tunnel.TunnelRequest) -> Echo:
    return Echo()


def unknown(_: tunnel.TunnelRequest) -> Refused:
    return UNKNOWN


async def gone(door: Door) -> None:
    """Wait until a door holds no tunnel."""
    await until(lambda: not len(door))


@dataclass
class Held:
    """A conversation that is held by hand at both ends."""

    conversation: Tunnel
    client: ClientEnd
    talk: Talk
    door: Door
    uplink: Uplink

    async def over(self) -> None:
        """End it at the relay, and see it gone."""
        self.talk.over.set()
        await gone(self.door)


@contextlib.asynccontextmanager
async def held() -> AsyncIterator[Held]:
    talk = Talk()
    async with (
        running_door(lambda _: talk) as door,
        tunnels_to(door.address) as (ours, uplink),
    ):
        conversation = await ours.converse(REQUEST)
        yield Held(conversation, await talk.client, talk, door, uplink)


@pytest.mark.asyncio
async def test_an_edge_that_leaves_during_the_upgrade_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def left(*_: object) -> None:
        raise aiohttp.ClientConnectionResetError

    monkeypatch.setattr(aiohttp.web.WebSocketResponse, "prepare", left)
    async with running_door(echoing) as door, tunnels_to(door.address) as (ours, _):
        with pytest.raises(Refusal):
            await ours.converse(REQUEST)
        await gone(door)
    assert not [entry for entry in caplog.records if entry.levelname == "ERROR"]


# --- conversations ---


@pytest.mark.asyncio
async def test_events_pass_both_ways_in_order() -> None:
    async with running_door(echoing) as door, tunnels_to(door.address) as (ours, _):
        conversation = await ours.converse(REQUEST)
        sent = [b"event %d" % number for number in range(500)]
        for payload in sent:
            await conversation.send(payload)
        assert [await conversation.receive() for _ in sent] == sent
        await conversation.close(1000, "")
        await gone(door)


@pytest.mark.asyncio
async def test_the_relay_gets_the_request_as_it_was_made() -> None:
    asked = []

    def answer(request: tunnel.TunnelRequest) -> Refused:
        asked.append(request)
        return UNKNOWN

    async with running_door(answer) as door, tunnels_to(door.address) as (ours, _):
        with pytest.raises(Refusal, match="no such call") as refusal:
            await ours.converse(REQUEST)
        with contextlib.suppress(Refusal):
            await ours.attach("rtc_1", "t", True)
        with contextlib.suppress(Refusal):
            await ours.hang_up("rtc_1", "t")
        with contextlib.suppress(Refusal):
            await ours.describe("rtc_1", "t")
    assert (refusal.value.status, refusal.value.code) == (404, "call_not_found")
    assert asked == [
        Converse(REQUEST),
        Attach("rtc_1", "t", True),
        HangUp("rtc_1", "t"),
        Describe("rtc_1", "t"),
    ]


@pytest.mark.asyncio
async def test_what_was_sent_before_a_close_arrives_before_it() -> None:
    async with held() as both:
        conversation, client = both.conversation, both.client
        for number in range(100):
            client.send(b"%d" % number)
        client.close(4000, "enough " * 40)
        client.send(b"late")
        received = [await conversation.receive() for _ in range(100)]
        assert received == [b"%d" % number for number in range(100)]
        assert await conversation.receive() == Closed(4000, ("enough " * 40)[:123])
        assert await client.receive() is None
        await both.over()


@pytest.mark.asyncio
async def test_a_conversation_learns_that_its_client_left() -> None:
    async with held() as both:
        conversation, client = both.conversation, both.client
        assert both.uplink.tunnels.total() == 1
        await asyncio.gather(conversation.close(1000, ""), client.receive())
        assert await client.receive() is None
        client.send(b"to nobody")
        await both.over()
        assert both.uplink.tunnels.total() == 0


@pytest.mark.asyncio
async def test_the_largest_event_passes_and_a_larger_one_is_refused() -> None:
    largest = bytes(channel.MAX_MESSAGE_BYTES)
    async with running_door(echoing) as door, tunnels_to(door.address) as (ours, _):
        conversation = await ours.converse(REQUEST)
        await conversation.send(largest)
        assert await conversation.receive() == largest
        with pytest.raises(LocalError):
            await conversation.send(largest + b"!")
        await conversation.close(1000, "")


@pytest.mark.asyncio
async def test_a_client_whose_queue_is_full_counts_as_gone() -> None:
    async with held() as both:
        conversation, client = both.conversation, both.client
        for _ in range(relay_door.MAX_QUEUED_MESSAGES + 1):
            client.send(b"flood")
        assert await client.receive() is None
        closed = await conversation.receive()
        assert isinstance(closed, Closed)
        assert closed.code == 1013
        await both.over()


@pytest.mark.asyncio
async def test_a_client_that_does_not_read_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_door, "LAST_WORDS_S", 0.05)
    async with held() as both:
        conversation, client = both.conversation, both.client
        for _ in range(15):
            client.send(bytes(1 << 20))
        await asyncio.sleep(0)  # the writer gets its turn, and finds TCP full
        for _ in range(40):
            client.send(bytes(1 << 20))
            await asyncio.sleep(0)
        async with asyncio.timeout(relay_door.HEARTBEAT_S / 2):  # it is not what tells
            assert await client.receive() is None
        await both.over()
        while isinstance(last := await conversation.receive(), bytes):
            pass
        assert last.code in {1013, edge.LOST}
        await conversation.close(1000, "")


@pytest.mark.asyncio
async def test_a_stopping_relay_says_so_to_every_client() -> None:
    talks = [Talk(), Talk()]
    waiting = iter(talks)
    door = Door(ANYWHERE, KEY, lambda _: next(waiting))
    serving = asyncio.create_task(door.run())
    async with tunnels_to(door.address) as (ours, _):
        opened = [await ours.converse(REQUEST) for _ in talks]
        await asyncio.gather(*(talk.client for talk in talks))
        serving.cancel()
        closes = await asyncio.gather(*(each.receive() for each in opened))
        await asyncio.wait([serving])
        for each in opened:
            await each.close(1000, "")
    assert closes == [Closed(1001, "the relay is stopping")] * 2
    assert [talk.was_cancelled for talk in talks] == [True, True]


@pytest.mark.asyncio
async def test_a_fault_in_one_conversation_ends_that_one_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Faulty:
        async def run(self, _: ClientEnd) -> None:
            raise RuntimeError("a bug")

    def answer(request: tunnel.TunnelRequest) -> Faulty | Echo:
        return Faulty() if isinstance(request, Attach) else Echo()

    async with running_door(answer) as door, tunnels_to(door.address) as (ours, _):
        well = await ours.converse(REQUEST)
        ill = await ours.attach("rtc_1", "t", False)
        assert await ill.receive() == Closed(1011, "internal error")
        await well.send(b"still here")
        assert await well.receive() == b"still here"
        await well.close(1000, "")
    assert "a bug" in caplog.text


# --- which relay ---


@pytest.mark.asyncio
async def test_sessions_are_spread_over_the_relays() -> None:
    async with (
        running_door(echoing) as one,
        running_door(echoing) as other,
        tunnels_to(one.address, other.address) as (ours, uplink),
    ):
        opened = await asyncio.gather(*(ours.converse(REQUEST) for _ in range(6)))
        assert (len(one), len(other)) == (3, 3)
        assert list(uplink.tunnels.values()) == [3, 3]
        for each in opened:
            await each.close(1000, "")


@pytest.mark.asyncio
async def test_a_session_goes_to_the_next_relay_when_one_cannot_take_it() -> None:
    dead = Address("127.0.0.1", free_ports(1)[0])
    full = Refused(503, "server_overloaded", "full")
    async with (
        running_door(lambda _: full) as busy,
        running_door(echoing) as well,
        tunnels_to(dead, busy.address, well.address) as (ours, _),
    ):
        conversation = await ours.converse(REQUEST)
        assert len(well) == 1
        await conversation.close(1000, "")


@pytest.mark.asyncio
async def test_no_relay_at_all_is_said_with_503() -> None:
    dead = Address("127.0.0.1", free_ports(1)[0])
    async with tunnels_to(dead) as (ours, uplink):
        for asking in (
            ours.converse(REQUEST),
            ours.attach("rtc_1", "t", False),
            ours.hang_up("rtc_1", "t"),
            ours.describe("rtc_1", "t"),
        ):
            with pytest.raises(Refusal) as refusal:
                await asking
            assert refusal.value.status == 503
        uplink.dialers[0].is_up = False
        with pytest.raises(Refusal, match="connected"):
            await ours.converse(REQUEST)
        assert uplink.tunnels.total() == 0


@pytest.mark.asyncio
async def test_the_relay_that_has_a_call_answers_for_it() -> None:
    def knows(request: tunnel.TunnelRequest) -> Echo | Facts:
        return Echo() if isinstance(request, Attach) else Facts({"status": "live"})

    dead = Address("127.0.0.1", free_ports(1)[0])
    async with (
        running_door(unknown) as one,
        running_door(knows) as other,
        tunnels_to(dead, one.address, other.address) as (ours, uplink),
    ):
        sideband = await ours.attach("rtc_1", "t", False)
        await sideband.send(b"hello")
        assert await sideband.receive() == b"hello"
        await sideband.close(1000, "")
        assert await ours.describe("rtc_1", "t") == {"status": "live"}
        await ours.hang_up("rtc_1", "t")
        await gone(one)
        await gone(other)
        assert uplink.tunnels.total() == 0


@pytest.mark.asyncio
async def test_a_call_that_no_relay_has_is_404() -> None:
    dead = Address("127.0.0.1", free_ports(1)[0])
    async with (
        running_door(unknown) as door,
        tunnels_to(dead, door.address) as (ours, _),
    ):
        with pytest.raises(Refusal) as refusal:
            await ours.attach("rtc_1", "t", False)
    assert (refusal.value.status, refusal.value.code) == (404, "call_not_found")


@pytest.mark.asyncio
async def test_a_session_too_large_for_the_tunnel_is_413() -> None:
    session = {"instructions": "x" * tunnel.MAX_OPENING_BYTES}
    request = SessionRequest(call_id="sess_1", tenant="t", session=session)
    async with running_door(echoing) as door, tunnels_to(door.address) as (ours, _):
        with pytest.raises(Refusal) as refusal:
            await ours.converse(request)
    assert refusal.value.status == 413


# --- strangers ---


@contextlib.asynccontextmanager
async def dialled(
    door: Door, hello: bytes
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Upgrade by hand."""
    url = f"http://{door.address}{tunnel.PATH}"
    text = base64.b64encode(hello).decode()
    headers = {"Authorization": f"{tunnel.SCHEME} {text}"}
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(url, headers=headers) as websocket,
    ):
        yield websocket


async def open_by_hand(websocket: aiohttp.ClientWebSocketResponse) -> Channel:
    """Go on until the relay has admitted."""
    sealing = HANDSHAKE.welcomed(await websocket.receive_bytes())
    request = tunnel.encode_request(Converse(REQUEST))
    await websocket.send_bytes(sealing.seal(request))
    admitted = sealing.open(await websocket.receive_bytes())
    assert tunnel.decode_answer(admitted) == tunnel.Admitted()
    return sealing


HANDSHAKE = EdgeHandshake(tunnel_key(KEY), b"n" * channel.NONCE_BYTES)


@pytest.mark.asyncio
async def test_an_edge_with_a_foreign_key_gets_nothing() -> None:
    async with (
        running_door(echoing) as door,
        tunnels_to(door.address, key=b"x" * 32) as (ours, _),
    ):
        with pytest.raises(Refusal) as refusal:
            await ours.converse(REQUEST)
        assert refusal.value.status == 503
        assert door.refused == 1


@pytest.mark.asyncio
async def test_both_keys_open_while_keys_are_changed() -> None:
    async with running_door(echoing, former_key=FORMER) as door:
        for key in (KEY, FORMER):
            async with tunnels_to(door.address, key=key) as (ours, _):
                await (await ours.converse(REQUEST)).close(1000, "")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer sk-1"},
        {"Authorization": "Tandem"},
        {"Authorization": "Tandem not base64!"},
        {"Authorization": "Tandem \xe4"},
        {"Authorization": "Tandem AAAA"},
    ],
)
async def test_who_shows_no_proof_gets_no_upgrade(headers: dict[str, str]) -> None:
    async with running_door(echoing) as door, aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as error:
            await http.ws_connect(
                f"http://{door.address}{tunnel.PATH}", headers=headers
            )
        assert error.value.status == 403
        async with http.get(f"http://{door.address}/") as response:
            assert response.status == 404


@pytest.mark.asyncio
async def test_a_proof_opens_once() -> None:
    async with running_door(echoing) as door:
        async with dialled(door, HANDSHAKE.hello()) as websocket:
            await open_by_hand(websocket)
        with pytest.raises(aiohttp.WSServerHandshakeError) as error:
            async with dialled(door, HANDSHAKE.hello()):
                pass
        assert error.value.status == 403


@pytest.mark.asyncio
async def test_a_proof_without_a_request_is_put_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tunnel, "OPENING_S", 0.05)
    async with (
        running_door(echoing) as door,
        dialled(door, HANDSHAKE.hello()) as websocket,
    ):
        HANDSHAKE.welcomed(await websocket.receive_bytes())
        assert (await websocket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert websocket.close_code == 1008


@pytest.mark.asyncio
async def test_a_request_that_is_not_authentic_is_put_out() -> None:
    async with (
        running_door(echoing) as door,
        dialled(door, HANDSHAKE.hello()) as websocket,
    ):
        await websocket.receive_bytes()
        await websocket.send_bytes(tunnel.encode_request(Converse(REQUEST)))
        assert (await websocket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert websocket.close_code == 1008
        assert door.refused == 1


@pytest.mark.asyncio
async def test_a_replayed_event_ends_the_tunnel() -> None:
    async with (
        running_door(echoing) as door,
        dialled(door, HANDSHAKE.hello()) as websocket,
    ):
        sealing = await open_by_hand(websocket)
        sealed = sealing.seal(b"once")
        await websocket.send_bytes(sealed)
        assert sealing.open(await websocket.receive_bytes()) == b"once"
        await websocket.send_bytes(sealed)
        assert (await websocket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert websocket.close_code == 1008


@pytest.mark.asyncio
async def test_no_more_tunnels_than_the_limit_are_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_door, "MAX_TUNNELS", 1)
    async with running_door(echoing) as door, tunnels_to(door.address) as (ours, _):
        first = await ours.converse(REQUEST)
        with pytest.raises(Refusal) as refusal:
            await ours.converse(REQUEST)
        assert refusal.value.status == 503
        await first.close(1000, "")
        await gone(door)
        await (await ours.converse(REQUEST)).close(1000, "")


@pytest.mark.asyncio
async def test_a_door_that_is_taken_is_named() -> None:
    async with running_door(echoing) as door:
        with pytest.raises(OSError, match=str(door.address.port)):
            Door(door.address, KEY, echoing)
