"""The port of a transceiver behind forwarders: datagrams come and go in envelopes.

Stands where the bare socket stands otherwise, and shows the clients' own addresses, so
that ICE knows nothing of it (docs/ingress.md). Only what carries an authentic label is
heard. Which forwarder speaks for a client is learned from what came last from it, and
kept from the first answer on: who gets no answer leaves nothing behind.

A client that falls silent may have been led to another forwarder, which does not know
it before its next STUN. Therefore what is sent to it goes now and then by the others
too: that tells them whose it is, and the one that has it passes on what it says.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from runtime.settings import Address, LinkKeys
from runtime.udp import UdpAddress, UdpSocket
from transceiver.ingress.endpoint import unpack
from transceiver.ingress.envelope import LABEL_BYTES, Labels
from transceiver.ingress.route import Routes

MAX_PATHS: Final = 16_384
"""Clients' addresses answered to; beyond, the one whose STUN is oldest is forgotten."""

SILENT_S: Final = 0.6
"""Silence of a client after which other forwarders are tried: one that speaks sends
each 20 ms, one that does not each 400 ms (Opus DTX)."""

TRIED_S: Final = 0.2
"""From one try to the next, while the silence lasts."""

KNOWN_S: Final = 15.0
"""How long a forwarder by which no STUN comes is tried: three rounds of consent."""

MAX_FORWARDERS: Final = 16
"""Forwarders known at a time; beyond, the one whose STUN is oldest is forgotten."""

_AFTER_STUN: Final = 4  # RFC 7983: first bytes 0 to 3 are STUN


class Ingress(NamedTuple):
    """What a transceiver has to know of the forwarders in front of it.

    Attributes:
        addresses: Where callers reach them: told to callers as candidates.
        own: The host's address as they reach it; the port is that of the socket.
        keys: The cluster's, to mint routes and to read labels.
    """

    addresses: tuple[Address, ...]
    own: str
    keys: LinkKeys

    def minter(self, port: int) -> Callable[[], str]:
        """Return what mints ufrags for the calls of this port."""
        routes, owner = Routes(*self.keys), (self.own, port)
        return lambda: routes.mint(owner)


@dataclass(slots=True)
class Path:
    """The way to a client: its label, and the forwarder that spoke for it last.

    Attributes:
        try_at: When other forwarders are to be tried, in monotonic seconds.
    """

    label: bytes
    client: UdpAddress
    forwarder: UdpAddress
    try_at: float = 0.0


class BehindIngress:
    """One bound socket, of the shape of `UdpSocket`; addresses are clients'.

    Attributes:
        unlabelled: Datagrams dropped because no authentic label was on them.

    Raises:
        OSError: The address cannot be bound; names it.
    """

    def __init__(
        self,
        host: str,
        port: int,
        on_datagram: Callable[[bytes, UdpAddress], None],
        keys: LinkKeys,
    ) -> None:
        self.unlabelled = 0
        self._pathless = 0
        self._socket = UdpSocket(host, port, self._received, in_ticks=True)
        self._on_datagram = on_datagram
        self._labels = Labels(*keys)
        self._now = asyncio.get_running_loop().time
        self._forwarders: dict[UdpAddress, float] = {}
        self._by_label: dict[bytes, Path] = {}
        self._by_client: dict[UdpAddress, Path] = {}
        self._arriving: Path | None = None

    @property
    def address(self) -> UdpAddress:
        """The bound host and port."""
        return self._socket.address

    @property
    def dropped_sends(self) -> int:
        """Datagrams that could not be sent."""
        return self._socket.dropped_sends + self._pathless

    def send(self, data: bytes | bytearray | memoryview, address: UdpAddress) -> None:
        """Send to a client now or never."""
        path = self._by_client.get(address)
        if path is None:
            path = self._arriving
            if path is None or path.client != address:
                self._pathless += 1
                return
            self._keep(path)
        enveloped = path.label + data
        self._socket.send(enveloped, path.forwarder)
        now = self._now()
        if now > path.try_at:
            path.try_at = now + TRIED_S
            for forwarder, heard_s in self._forwarders.items():
                if forwarder != path.forwarder and now - heard_s < KNOWN_S:
                    self._socket.send(enveloped, forwarder)

    def close(self) -> None:
        """Stop reading and release the port."""
        self._socket.close()

    def _received(self, data: bytes, forwarder: UdpAddress) -> None:
        label = data[:LABEL_BYTES]
        path = self._by_label.get(label)
        if path is None:
            path = self._arriving = self._named(label, forwarder)
            if path is None:
                self.unlabelled += 1
                return
        elif len(data) > LABEL_BYTES and data[LABEL_BYTES] < _AFTER_STUN:
            del self._by_label[label]
            self._by_label[label] = path  # in the order of STUN heard
            self._note(forwarder)
        path.forwarder = forwarder
        path.try_at = self._now() + SILENT_S
        self._on_datagram(data[LABEL_BYTES:], path.client)
        self._arriving = None

    def _named(self, label: bytes, forwarder: UdpAddress) -> Path | None:
        """Return the path of a label that is in no table; None: not authentic."""
        packed = self._labels.read(label)
        if packed is None:
            return None
        client = unpack(packed)
        known = self._by_client.get(client)
        if known is None:
            return Path(label, client, forwarder)
        del self._by_label[known.label]  # labels are made under another key by now
        known.label = label
        self._by_label[label] = known
        return known

    def _note(self, forwarder: UdpAddress) -> None:
        """Note by which forwarder a caller's STUN came just now."""
        self._forwarders.pop(forwarder, None)
        if len(self._forwarders) >= MAX_FORWARDERS:
            del self._forwarders[next(iter(self._forwarders))]
        self._forwarders[forwarder] = self._now()

    def _keep(self, path: Path) -> None:
        if len(self._by_label) >= MAX_PATHS:
            oldest = next(iter(self._by_label.values()))
            del self._by_label[oldest.label], self._by_client[oldest.client]
        self._by_label[path.label] = path
        self._by_client[path.client] = path
