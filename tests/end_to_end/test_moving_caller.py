"""A caller whose address changes in mid-call, and one who claims many addresses."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator

import aioice.ice
import aiortc
import pytest
import pytest_asyncio

from runtime.udp import UdpAddress, UdpSocket
from tests.end_to_end.test_hostile_datagrams import stun_request
from tests.support.caller import Caller
from tests.support.waiting import LIMIT_S
from transceiver.webrtc import ice
from transceiver.webrtc.ice import IceLeg, UdpPort
from transceiver.webrtc.peer import Peer, PeerCallbacks

pytestmark = pytest.mark.interop

MEDIA = bytes([128]) + bytes(40)


class Nat:
    """Stands between one client and the server; can change the address it gives."""

    def __init__(self, server: UdpAddress) -> None:
        self.heard_media = asyncio.Event()
        self._server = server
        self._client: UdpAddress | None = None
        self._inside = UdpSocket("127.0.0.1", 0, self._from_client)
        self._outside = UdpSocket("127.0.0.1", 0, self._from_server)

    @property
    def address(self) -> UdpAddress:
        """What the client takes for the server."""
        return self._inside.address

    def rebind(self) -> None:
        """Give the client another address; the old one is dead."""
        self._outside.close()
        self._outside = UdpSocket("127.0.0.1", 0, self._from_server)
        self.heard_media.clear()

    def close(self) -> None:
        self._inside.close()
        self._outside.close()

    def _from_client(self, data: bytes, address: UdpAddress) -> None:
        self._client = address
        self._outside.send(data, self._server)

    def _from_server(self, data: bytes, _: UdpAddress) -> None:
        if data == MEDIA:
            self.heard_media.set()
        elif self._client is not None:
            self._inside.send(data, self._client)


class Scene:
    """A call from a stock aiortc client through a NAT to one peer of ours."""

    def __init__(self) -> None:
        self.port = UdpPort("127.0.0.1", 0, None, with_loopback=True)
        self.nat = Nat(self.port.socket.address)
        self.caller = Caller()
        self.connected = asyncio.Event()
        self.answer = ""
        self.peer = Peer(
            self.port,
            PeerCallbacks(
                connected=lambda _: self.connected.set(),
                channel_open=lambda: None,
                event_received=lambda _: None,
                closed=lambda _: None,
            ),
        )

    @property
    def leg(self) -> IceLeg:
        assert self.peer.leg is not None
        return self.peer.leg

    async def connect(self) -> None:
        client = self.caller.connection
        await client.setLocalDescription(await client.createOffer())
        self.answer = await self.peer.answer(client.localDescription.sdp)
        seen = re.sub(
            r"(a=candidate:.* 127\.0\.0\.1) \d+ typ",
            rf"\1 {self.nat.address[1]} typ",
            self.answer,
        )
        await client.setRemoteDescription(
            aiortc.RTCSessionDescription(sdp=seen, type="answer")
        )
        await self.connected.wait()

    async def send_until_heard(self) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not self.nat.heard_media.is_set():
                self.leg.send(MEDIA)
                await asyncio.sleep(0.05)

    def credentials(self) -> tuple[str, str]:
        """Return user name and password of a check by the client."""
        ours = re.search(r"ice-ufrag:(\S+)", self.answer)
        password = re.search(r"ice-pwd:(\S+)", self.answer)
        theirs = re.search(
            r"ice-ufrag:(\S+)", self.caller.connection.localDescription.sdp
        )
        assert ours
        assert theirs
        assert password
        return f"{ours[1]}:{theirs[1]}", password[1]


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    """A call that is connected."""
    scene = Scene()
    async with asyncio.timeout(LIMIT_S):
        await scene.connect()
    yield scene
    await scene.caller.close()
    await scene.peer.close()
    scene.nat.close()
    scene.port.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client checks its path often, and silence tells soon."""
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.3)
    monkeypatch.setattr(ice, "MOVED_AFTER_S", 0.2)


@pytest.mark.asyncio
@pytest.mark.usefixtures("quick")
async def test_media_follows_a_caller_who_nominates_only_once(scene: Scene) -> None:
    await scene.send_until_heard()
    for _ in range(2):
        scene.nat.rebind()
        await scene.send_until_heard()
    assert scene.peer.state == "connected"


@pytest.mark.asyncio
async def test_claims_of_many_addresses_are_forgotten_and_change_nothing(
    scene: Scene,
) -> None:
    """Each costs a check to an address that need not be the caller's own."""
    check = stun_request(*scene.credentials())
    microphone_heard = asyncio.Event()
    scene.leg.on_media = lambda data, now: microphone_heard.set()
    agent = scene.leg._connection
    with contextlib.ExitStack() as sockets:
        for _ in range(150):
            claim = sockets.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            claim.bind(("127.0.0.1", 0))
            claim.sendto(check, scene.port.socket.address)
            await asyncio.sleep(0.002)
        microphone_heard.clear()
        async with asyncio.timeout(LIMIT_S):
            await microphone_heard.wait()
    assert len(agent._remote_candidates) <= ice.MAX_CANDIDATES
    assert len(agent._check_list) <= ice.MAX_CANDIDATES
    assert len(scene.port._by_check) <= ice.MAX_CHECKS
    assert len(scene.leg.addresses) <= ice.MAX_ADDRESSES
    await scene.send_until_heard()
