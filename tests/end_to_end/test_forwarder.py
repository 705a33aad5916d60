"""The forwarder's sockets of both families, over loopback."""

import asyncio

import pytest

from runtime import settings as environment
from runtime.udp import UdpAddress, UdpSocket
from tests.ingress.test_router import MEDIA, check
from tests.ingress.test_settings import KEY
from tests.support.waiting import LIMIT_S
from transceiver.ingress.envelope import LABEL_BYTES
from transceiver.ingress.forwarder import Forwarder
from transceiver.ingress.route import Routes
from transceiver.ingress.settings import IngressSettings


class Peer:
    """A client, or a transceiver."""

    def __init__(self, host: str) -> None:
        self.got: asyncio.Queue[bytes] = asyncio.Queue()
        self.socket = UdpSocket(host, 0, self._received)

    async def receive(self) -> bytes:
        async with asyncio.timeout(LIMIT_S):
            return await self.got.get()

    def _received(self, data: bytes, _: UdpAddress) -> None:
        self.got.put_nowait(data)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("listening", "client_host", "owner_host"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("::1", "::1", "::1"),
        ("::", "127.0.0.1", "127.0.0.1"),
        ("::", "::1", "127.0.0.1"),
        ("::", "127.0.0.1", "::1"),
    ],
)
async def test_clients_and_owners_of_either_family_reach_each_other(
    listening: str, client_host: str, owner_host: str
) -> None:
    settings = environment.load(
        IngressSettings,
        KEY
        | {
            "TANDEM_INGRESS_HOST": listening,
            "TANDEM_INGRESS_INNER_HOST": listening,
            "TANDEM_INGRESS_PORT": "0",
            "TANDEM_INGRESS_INNER_PORT": "0",
        },
    )
    forwarder, restarted = Forwarder(settings), Forwarder(settings)
    client, owner = Peer(client_host), Peer(owner_host)
    request = check(Routes(*settings.link_keys).mint(owner.socket.address))
    client.socket.send(request, (client_host, forwarder.outer.address[1]))
    labelled = await owner.receive()
    assert labelled[LABEL_BYTES:] == request
    for way in (forwarder, restarted):
        answer = labelled[:LABEL_BYTES] + MEDIA
        owner.socket.send(answer, (owner_host, way.inner.address[1]))
        assert await client.receive() == MEDIA
        client.socket.send(MEDIA, (client_host, way.outer.address[1]))
        assert await owner.receive() == answer
    for end in (client.socket, owner.socket, forwarder, restarted):
        end.close()
