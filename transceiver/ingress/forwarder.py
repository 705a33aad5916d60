"""HOT PATH. The forwarder's two sockets, with the router between them.

Neither sends in runs: speech has another size every 20 ms, so a run would be of 1.6
datagrams, and take as much CPU as they do (1.01; all of one size: 0.77).
"""

import asyncio

from runtime.udp import UdpAddress, UdpSocket
from transceiver.ingress.envelope import Labels
from transceiver.ingress.route import Routes
from transceiver.ingress.router import Router
from transceiver.ingress.settings import IngressSettings


class Forwarder:
    """Forwards from when it is made until it is closed.

    Raises:
        OSError: A port cannot be bound.
    """

    def __init__(self, settings: IngressSettings) -> None:
        self.router = Router(
            Routes(*settings.link_keys),
            Labels(*settings.link_keys),
            settings.max_flows,
            wide_clients=":" in settings.host,
            wide_owners=":" in settings.inner_host,
        )
        self._now = asyncio.get_running_loop().time
        self.outer = UdpSocket(settings.host, settings.port, self._from_client)
        try:
            self.inner = UdpSocket(
                settings.inner_host,
                settings.inner_port,
                self._from_owner,
            )
        except OSError:
            self.outer.close()
            raise

    @property
    def unsent(self) -> int:
        """Datagrams that could not be sent, either way."""
        return self.outer.dropped_sends + self.inner.dropped_sends

    def close(self) -> None:
        """Release both ports."""
        self.outer.close()
        self.inner.close()

    def _from_client(self, data: bytes, client: UdpAddress) -> None:
        wrapped, owners = self.router.from_client(data, client, self._now())
        for owner in owners:
            self.inner.send(wrapped, owner)

    def _from_owner(self, data: bytes, owner: UdpAddress) -> None:
        datagram, client = self.router.from_owner(data, owner, self._now())
        if client is not None:
            self.outer.send(datagram, client)
