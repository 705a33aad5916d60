"""A transceiver's port behind forwarders, over loopback."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from runtime.settings import LinkKeys
from runtime.udp import UdpAddress, UdpSocket
from tests.support.waiting import LIMIT_S
from transceiver.ingress.envelope import LABEL_BYTES, Labels
from transceiver.webrtc.behind import BehindIngress

OLD, NEW, FOREIGN = bytes(range(32)), bytes(range(1, 33)), bytes(32)
STUN = bytes(20)
CLIENT = ("198.51.100.7", 40_000)


class Forwarder:
    """A socket that sends what it is told, and keeps what it gets."""

    def __init__(self) -> None:
        self.got: asyncio.Queue[bytes] = asyncio.Queue()
        self.socket = UdpSocket("127.0.0.1", 0, self._received)

    def _received(self, data: bytes, _: UdpAddress) -> None:
        self.got.put_nowait(data)


@dataclass
class Scene:
    """The port, two forwarders, and what the port has heard; it answers `?`."""

    forwarders: list[Forwarder] = field(
        default_factory=lambda: [Forwarder() for _ in "ab"]
    )
    heard: asyncio.Queue[tuple[bytes, UdpAddress]] = field(
        default_factory=asyncio.Queue
    )

    def __post_init__(self) -> None:
        self.port = BehindIngress("127.0.0.1", 0, self._received, LinkKeys(NEW, OLD))

    def _received(self, data: bytes, client: UdpAddress) -> None:
        if data == b"?":
            self.port.send(b"!", client)
        self.heard.put_nowait((data, client))

    async def hears(self, datagram: bytes, by: int = 0) -> tuple[bytes, UdpAddress]:
        self.forwarders[by].socket.send(datagram, self.port.address)
        async with asyncio.timeout(LIMIT_S):
            return await self.heard.get()

    async def answer(self, by: int) -> bytes:
        async with asyncio.timeout(LIMIT_S):
            return await self.forwarders[by].got.get()


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    found = Scene()
    yield found
    found.port.close()
    for forwarder in found.forwarders:
        forwarder.socket.close()


@pytest.mark.asyncio
async def test_the_client_is_seen_and_answered_in_an_envelope(scene: Scene) -> None:
    label = Labels(NEW).make(CLIENT)
    assert await scene.hears(label + b"?") == (b"?", CLIENT)
    assert await scene.answer(0) == label + b"!"


@pytest.mark.asyncio
async def test_what_has_no_authentic_label_is_not_heard(scene: Scene) -> None:
    label = Labels(NEW).make(CLIENT)
    for datagram in (b"?", b"", label[:-1], Labels(FOREIGN).make(CLIENT) + b"?"):
        scene.forwarders[0].socket.send(datagram, scene.port.address)
    assert await scene.hears(label + b"heard") == (b"heard", CLIENT)
    assert scene.port.unlabelled == 4


@pytest.mark.asyncio
async def test_who_gets_no_answer_leaves_nothing_behind(scene: Scene) -> None:
    await scene.hears(Labels(NEW).make(CLIENT) + b"stranger")
    assert not scene.port._by_label
    scene.port.send(b"lost", CLIENT)
    assert scene.port.dropped_sends == 1


@pytest.mark.asyncio
async def test_answers_go_by_the_forwarder_that_spoke_last(scene: Scene) -> None:
    label = Labels(NEW).make(CLIENT)
    for by in (0, 1, 0):
        await scene.hears(label + b"?", by)
        assert await scene.answer(by) == label + b"!"


@pytest.mark.asyncio
async def test_a_client_is_followed_when_forwarders_change_their_key(
    scene: Scene,
) -> None:
    for key, by in ((OLD, 0), (NEW, 1)):
        label = Labels(key).make(CLIENT)
        assert await scene.hears(label + b"?", by) == (b"?", CLIENT)
        assert (await scene.answer(by))[:LABEL_BYTES] == label
    assert len(scene.port._by_label) == len(scene.port._by_client) == 1


@pytest.mark.asyncio
async def test_a_silent_client_is_looked_for_by_the_other_forwarders(
    scene: Scene,
) -> None:
    clock = [100.0]
    scene.port._now = lambda: clock[0]
    label, other = (Labels(NEW).make(("198.51.100.7", port)) for port in (1, 2))
    await scene.hears(label + b"?", by=0)
    await scene.hears(other + b"?", by=1)
    await scene.hears(other + STUN, by=1)  # the second is known to live
    assert [await scene.answer(by) for by in (0, 1)] == [label + b"!", other + b"!"]
    said = {100.5: b"still", 100.7: b"silent", 100.8: b"soon", 101.0: b"again"}
    for clock[0], word in said.items():
        scene.port.send(word, ("198.51.100.7", 1))
    for word in said.values():
        assert await scene.answer(0) == label + word
    for word in (b"silent", b"again"):
        assert await scene.answer(1) == label + word
    assert scene.forwarders[1].got.empty()
