"""One UDP port for every call: the demultiplexer in front of ICE, DTLS and SRTP.

Owns the socket and who may be heard on it; knows nothing of SDP, DTLS or audio. aioice
runs the ICE agent of each call; it gets no socket of its own but a share of this one.

How a datagram finds its call (first byte as in RFC 7983):

    STUN request      by the local ufrag in USERNAME, once MESSAGE-INTEGRITY holds
    STUN response     by its transaction id, drawn at random by our own request, and by
                      source address, which must be the one that was asked
    DTLS, SRTP        by source address, once an authenticated STUN request came from it
    anything else     dropped and counted

An address held by one leg moves to another only when that leg's own check to it was
answered: a forged source address cannot take a live call's media away. A caller whose
nominated address has fallen silent is followed to the one it checks from. Whatever
fails a test gets no answer, so a stranger learns nothing and amplifies nothing.
"""

import asyncio
import logging
import secrets
import struct
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

import aioice
import aioice.ice
import aioice.stun

from runtime.udp import UdpAddress, UdpSocket
from transceiver.stun import BINDING_REQUEST, local_ufrag
from transceiver.webrtc.addresses import advertised_addresses, host_candidate
from transceiver.webrtc.behind import BehindIngress, Ingress
from transceiver.webrtc.early import EarlyMedia, OnMedia, dropped
from transceiver.webrtc.unframed import unframed

log = logging.getLogger(__name__)

MAX_ADDRESSES = 8
"""Addresses one leg may be heard from; the one silent longest is forgotten beyond."""

MAX_CANDIDATES = 16
"""Addresses one agent may check; beyond that the oldest not nominated is forgotten, so
that who knows a call's password cannot have us send to ever more addresses."""

MAX_CHECKS = 64
"""Checks of one leg whose answers are waited for; the oldest is forgotten beyond."""

MOVED_AFTER_S = 3.0
"""Silence of the nominated address after which a check from another one shows that the
caller has moved: browsers check theirs every 2.5 s and nominate anew, others do not."""

MAX_WAITING_DTLS = 64
"""Datagrams kept for a DTLS transport that does not read; more are dropped."""

_Check = tuple[bytes, UdpAddress]
"""Transaction id, and the address that is asked: nobody else can answer."""

UFRAG_BYTES = 4
"""Randomness of our ICE username fragment: unique among the calls of one port."""


@dataclass(slots=True)
class PortCounters:
    """Datagrams that were dropped, by reason."""

    empty: int = 0
    not_stun: int = 0
    unknown_ufrag: int = 0
    bad_integrity: int = 0
    unknown_transaction: int = 0
    unknown_source: int = 0
    backlog: int = 0


class IceLeg:
    """One call's share of the port.

    Attributes:
        on_media: Gets each SRTP or SRTCP datagram; keeps it until somebody hears them.
        addresses: Where it may be heard from, and when it was last heard there.
        checks: Our own, by id and whom they ask, oldest first.
        ufrag: The local username fragment: this leg's name on the port.
    """

    __slots__ = (
        "_address",
        "_connection",
        "_early",
        "_nominated",
        "_pair",
        "_port",
        "_send",
        "addresses",
        "checks",
        "on_media",
        "protocol",
        "ufrag",
    )

    def __init__(self, port: "UdpPort", connection: aioice.Connection) -> None:
        self._early = EarlyMedia()
        self.on_media: OnMedia = self._early.keep
        self.addresses: dict[UdpAddress, float] = {}
        self.checks: deque[_Check] = deque()
        self.ufrag = connection.local_username
        self._port = port
        self._connection = connection
        self._nominated: dict[int, Any] = connection._nominated
        self._pair: Any = None
        self._address: UdpAddress = "", 0
        self._send = port.socket.send
        self.protocol = _Stun(connection)
        self.protocol.local_candidate = port.candidates[0]
        self.protocol.connection_made(_PortShare(port, self))

    def hear(self, on_media: OnMedia) -> None:
        """Have media taken from now on, what came early first."""
        self.on_media = on_media
        self._early.hand_over(on_media)

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send to the nominated address; dropped while there is none."""
        pair = self._nominated.get(1)
        if pair is None:
            return
        if pair is not self._pair:  # else spare a tuple
            self._pair, self._address = pair, pair.remote_addr
        self._send(data, self._address)

    def stun_request(
        self, message: aioice.stun.Message, address: UdpAddress, now: float
    ) -> bool:
        """Let the ICE agent answer a request if it proves knowledge of the password."""
        password = self._connection.local_password.encode()
        if "PRIORITY" not in message.attributes:  # aioice relies on it
            return False
        if not message.check_message_integrity(password):
            return False
        self._make_room_for(address)
        if self._has_moved_to(address, now):
            message.attributes["USE-CANDIDATE"] = None  # once our check is answered
        self._connection.request_received(message, address, self.protocol)
        return True

    def stun_response(self, message: aioice.stun.Message, address: UdpAddress) -> bool:
        """Hand over an answer to our own check; True if it was authentic."""
        password = self._connection.remote_password
        transaction = self.protocol.transactions.get(message.transaction_id)
        if transaction is None or password is None:
            return False
        transaction.response_received(message, address)
        return message.check_message_integrity(password.encode())

    def dtls(self, data: bytes) -> bool:
        """Queue a DTLS datagram for aiortc; False when it reads too slowly."""
        if self._connection._queue.qsize() >= MAX_WAITING_DTLS:
            return False
        self._connection.data_received(data, 1)
        return True

    def _has_moved_to(self, address: UdpAddress, now: float) -> bool:
        pair = self._nominated.get(1)
        if pair is None or pair.remote_addr == address:
            return False
        return now - self.addresses.get(pair.remote_addr, 0.0) > MOVED_AFTER_S

    def _make_room_for(self, address: UdpAddress) -> None:
        """Have the agent forget its oldest candidate before it learns one too many."""
        agent, pair = self._connection, self._nominated.get(1)
        candidates = agent._remote_candidates
        if len(candidates) < MAX_CANDIDATES or any(
            (known._network_host, known.port) == address for known in candidates
        ):
            return
        nominated = None if pair is None else pair.remote_candidate
        oldest = next(known for known in candidates if known is not nominated)
        agent._remote_candidates = [c for c in candidates if c is not oldest]
        for check in [c for c in agent._check_list if c.remote_candidate is oldest]:
            if check.task is not None:
                check.task.cancel()
            agent._check_list.remove(check)

    def detach(self) -> None:
        """Leave the port: nothing more is heard."""
        self.hear(dropped)
        self._port.forget(self)


class UdpPort:
    """The socket that all legs share."""

    def __init__(
        self,
        host: str,
        port: int,
        public_address: str | None,
        *,
        with_loopback: bool,
        ingress: Ingress | None = None,
    ) -> None:
        """Bind at once.

        Args:
            host: Address to bind.
            port: Port to bind; 0 lets the system choose.
            public_address: The only address to advertise; None: the host's own.
            with_loopback: Advertise 127.0.0.1 too, for a browser on this machine.
            ingress: The forwarders that callers reach instead of us, if any.

        Raises:
            OSError: The port cannot be bound.
        """
        self.counters = PortCounters()
        self.socket: UdpSocket | BehindIngress
        if ingress is None:
            self.socket = UdpSocket(host, port, self._datagram_received, in_ticks=True)
            own = advertised_addresses(
                host, public_address, with_loopback=with_loopback
            )
            reached_at = [(address, self.socket.address[1]) for address in own]
            self._draw_ufrag = _random_ufrag
        else:
            self.socket = BehindIngress(
                host, port, self._datagram_received, ingress.keys
            )
            reached_at = [(one.host, one.port) for one in ingress.addresses]
            self._draw_ufrag = ingress.minter(self.socket.address[1])
        self.candidates = [
            host_candidate(*address, preference)
            for preference, address in enumerate(reached_at)
        ]
        self._now = asyncio.get_running_loop().time
        self._by_ufrag: dict[str, IceLeg] = {}
        self._by_address: dict[UdpAddress, IceLeg] = {}
        self._by_check: dict[_Check, IceLeg] = {}

    def attach(self, connection: aioice.Connection) -> IceLeg:
        """Give an ICE agent this port in place of sockets of its own."""
        leg = IceLeg(self, connection)

        async def gather(*_: object, **__: object) -> list[aioice.Candidate]:
            connection._protocols.append(leg.protocol)
            return list(self.candidates)

        connection.get_component_candidates = gather  # type: ignore[method-assign]  # our port replaces its sockets
        self._by_ufrag[leg.ufrag] = leg
        return leg

    def free_ufrag(self) -> str:
        """Return a username fragment that no call of this port has."""
        while (ufrag := self._draw_ufrag()) in self._by_ufrag:
            pass
        return ufrag

    def forget(self, leg: IceLeg) -> None:
        """Remove every trace of a leg."""
        self._by_ufrag.pop(leg.ufrag, None)
        for address in leg.addresses:
            if self._by_address.get(address) is leg:
                del self._by_address[address]
        leg.addresses.clear()
        for check in leg.checks:
            self._by_check.pop(check, None)
        leg.checks.clear()

    def expect_response(self, request: bytes, address: UdpAddress, leg: IceLeg) -> None:
        """Remember whose check this is, so that its response finds the leg."""
        check = request[8:20], address
        if check in self._by_check:
            return  # sent again
        if len(leg.checks) >= MAX_CHECKS:
            self._by_check.pop(leg.checks.popleft(), None)
        leg.checks.append(check)
        self._by_check[check] = leg

    def dropped(self) -> dict[str, int]:
        """Return how many datagrams were dropped, by reason, for metrics."""
        dropped = {**asdict(self.counters), "unsent": self.socket.dropped_sends}
        if isinstance(self.socket, BehindIngress):
            dropped["unlabelled"] = self.socket.unlabelled
        return dropped

    def close(self) -> None:
        """Release the port."""
        self.socket.close()

    def _datagram_received(self, data: bytes, address: UdpAddress) -> None:
        if not data:
            self.counters.empty += 1
            return
        first = data[0]
        if first < 4:
            self._stun_received(data, address)
            return
        leg = self._by_address.get(address)
        if leg is None:
            self.counters.unknown_source += 1
        elif 128 <= first < 192:
            now = leg.addresses[address] = self._now()
            leg.on_media(data, now)
        elif 20 <= first < 64 and not leg.dtls(data):
            self.counters.backlog += 1

    def _stun_received(self, data: bytes, address: UdpAddress) -> None:
        ufrag = local_ufrag(data) if data[:2] == BINDING_REQUEST else None
        if ufrag is not None:
            leg = self._by_ufrag.get(ufrag)
        else:
            leg = self._by_check.get((data[8:20], address))
        if leg is None:
            if ufrag is not None:
                self.counters.unknown_ufrag += 1
            else:
                self.counters.unknown_transaction += 1
            return
        try:
            message = aioice.stun.parse_message(data)
        except (ValueError, struct.error):  # what its attribute parsers raise
            self.counters.not_stun += 1
            return
        if ufrag is None:
            del self._by_check[data[8:20], address]
            if leg.stun_response(message, address):
                self._bind(address, leg)
        elif leg.stun_request(message, address, self._now()):
            if self._by_address.get(address, leg) is leg:
                self._bind(address, leg)
        else:
            self.counters.bad_integrity += 1

    def _bind(self, address: UdpAddress, leg: IceLeg) -> None:
        """Hear a leg from an address, and note that it was heard there just now."""
        holder = self._by_address.get(address)
        if holder is not leg:
            if holder is not None:
                del holder.addresses[address]
            if len(leg.addresses) >= MAX_ADDRESSES:
                oldest = min(leg.addresses, key=leg.addresses.__getitem__)
                del leg.addresses[oldest], self._by_address[oldest]
            self._by_address[address] = leg
        leg.addresses[address] = self._now()


class _Stun(aioice.ice.StunProtocol):
    """Whose checks that time out hold nothing of the call."""

    request = unframed(aioice.ice.StunProtocol.request, aioice.stun.TransactionError)


class _PortShare(asyncio.DatagramTransport):
    """What aioice takes for a socket of its own."""

    def __init__(self, port: UdpPort, leg: IceLeg) -> None:
        super().__init__()
        self._port = port
        self._leg: IceLeg | None = leg

    def sendto(self, data: Any, addr: Any = None) -> None:
        """Send through the shared socket; what is sent after the close is dropped."""
        if self._leg is None:
            return
        if data[:2] == BINDING_REQUEST:
            self._port.expect_response(data, addr, self._leg)
        self._port.socket.send(data, addr)

    def close(self) -> None:
        """Give back the share; the socket stays open for the other calls."""
        leg, self._leg = self._leg, None  # who holds us: else none of us would go
        if leg is not None:
            leg.detach()
            leg.protocol.connection_lost(None)


def _random_ufrag() -> str:
    return secrets.token_hex(UFRAG_BYTES)
