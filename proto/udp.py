"""The two ends of the link as the services use them: `Dialer` and `Listener`.

One socket each; a listener's serves all its links, told apart by link id, never by
address. A dialer keeps one link to one relay up and dials again when it is lost.
"""

import asyncio
import logging
import os
import random
import socket
from collections.abc import Callable
from typing import Final

from proto.errors import NotConnected, RemoteError
from proto.handshake import (
    NONCE_BYTES,
    DialerHandshake,
    Ends,
    LinkKey,
    ListenerHandshake,
)
from proto.link import Link
from proto.live import LinkSession, LiveLink, SessionReceiver
from proto.payload import Payload
from proto.stats import LinkStats
from runtime.settings import Address
from runtime.udp import UdpAddress, UdpSocket

__all__ = ["Dialer", "LinkSession", "Listener", "SessionReceiver"]

log = logging.getLogger(__name__)

_MIN_REDIAL_S: Final = 0.1
_MAX_REDIAL_S: Final = 2.0
"""Bounds of the pause before dialling again; doubled each time, half of it random."""

_STEADY_S: Final = 5.0
"""A link that lasted so long was a good one: dial again soon."""

MAX_LINKS: Final = 1024
"""Links of one listener; more are met with silence."""


class Dialer:
    """Keeps one link to one relay up. Make it in a running loop.

    Args:
        address: The relay's; a name is resolved anew each time it is dialled.
        key: The pre-shared key, at least 32 bytes.
        payloads: What sessions are asked to carry their audio as, the best first; PCM
            need not be named.
        rng: Spreads the redials of many edges.
    """

    def __init__(
        self,
        address: Address,
        key: bytes,
        *,
        payloads: tuple[Payload, ...] = (),
        rng: random.Random | None = None,
    ) -> None:
        self.address = address
        self.is_up = False
        self._key = LinkKey(key)
        self._payloads = payloads
        self._rng = rng or random.Random()
        self._live: LiveLink | None = None
        self._udp: UdpSocket | None = None
        self._ended = LinkStats()
        self._down = asyncio.Event()
        self._is_missed = False  # and the log has been told

    @property
    def session_count(self) -> int:
        """Sessions on the link, opening and closing ones too."""
        return len(self._live.core.sessions) if self._live is not None else 0

    @property
    def rtt_s(self) -> float | None:
        """Smoothed round-trip time in seconds; None when the link is not up."""
        if self._live is None or not self.is_up:
            return None
        return self._live.core.rtt.smoothed_s

    @property
    def rtt_variation_s(self) -> float | None:
        """How far round-trip times stray, in seconds; None when the link is not up."""
        if self._live is None or not self.is_up:
            return None
        return self._live.core.rtt.variation_s

    @property
    def jitter_s(self) -> float | None:
        """Interarrival jitter in seconds; None when the link is not up."""
        if self._live is None or not self.is_up:
            return None
        return self._live.core.stats.jitter_s

    @property
    def stats(self) -> LinkStats:
        """Figures of all links to this relay, the present one too."""
        total = LinkStats()
        total.add(self._ended)
        if self._live is not None:
            total.add(self._live.core.stats)
        if self._udp is not None:
            total.datagrams_unsent += self._udp.dropped_sends
        return total

    def open_session(self, request: bytes, receiver: SessionReceiver) -> LinkSession:
        """Ask the relay for a session; `receiver` hears how that went.

        Raises:
            NotConnected: The link is not up.
            LocalError: The request is longer than 256 KiB.
        """
        if self._live is None or not self.is_up:
            raise NotConnected(f"no link to {self.address}")
        return self._live.open_session(request, receiver, self._payloads)

    async def run(self) -> None:
        """Keep the link up until cancelled, then leave it."""
        pause_s = _MIN_REDIAL_S
        while True:
            self._down.clear()
            began_at = asyncio.get_running_loop().time()
            try:
                await self._hold_one_link()
            except OSError as error:
                log.warning(
                    "cannot dial", extra={"relay": self.address, "error": error}
                )
            lasted_s = asyncio.get_running_loop().time() - began_at
            pause_s = _MIN_REDIAL_S if lasted_s > _STEADY_S else pause_s
            await asyncio.sleep(pause_s * self._rng.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, _MAX_REDIAL_S)

    async def _hold_one_link(self) -> None:
        """Dial, and stay until the link is lost."""
        relay = await self._resolve()
        wildcard = "::" if ":" in relay[0] else "0.0.0.0"
        link_id = int.from_bytes(os.urandom(4), "big") or 1
        name = link_id.to_bytes(4, "big")
        udp = self._udp = UdpSocket(
            wildcard, 0, _unheard, runs_of=lambda first: first[4:8] == name
        )
        handshake = DialerHandshake(self._key, link_id, os.urandom(NONCE_BYTES))
        core = Link.dial(handshake, asyncio.get_running_loop().time())
        self._ended.dials += 1
        live = self._live = LiveLink(core, udp.send, relay, None, self._changed)
        udp.on_datagram = live.receive
        try:
            await self._down.wait()
        finally:
            self.is_up = False
            self._is_missed = True  # it was said, or it is us who leave
            live.leave("the edge left")
            udp.close()  # what it has left to send may be refused as well
            udp.on_datagram = _unheard  # or it and the link would hold each other
            self._live = self._udp = None
            self._ended.add(core.stats)
            self._ended.datagrams_unsent += udp.dropped_sends

    async def _resolve(self) -> UdpAddress:
        found = await asyncio.get_running_loop().getaddrinfo(
            self.address.host, self.address.port, type=socket.SOCK_DGRAM
        )
        host, port = found[0][4][:2]
        return str(host), int(port)

    def _changed(self, live: LiveLink, down: str | None) -> None:
        was_up, self.is_up = self.is_up, down is None
        if down is None:
            self._ended.ups += 1
            self._is_missed = False
            log.info("link up", extra={"relay": self.address, "link": live.core.id})
            return
        if was_up:
            self._ended.downs += 1
            log.warning("link down", extra={"relay": self.address, "reason": down})
        elif not self._is_missed:
            log.warning(
                "no link: does the relay run there, with the same TANDEM_LINK_KEY?",
                extra={"relay": self.address, "reason": down},
            )
        self._down.set()


def _unheard(_: bytes, __: UdpAddress) -> None:
    """Take what comes while there is no link."""


class Listener:
    """Serves all links on one socket. Make it in a running loop: it binds at once.

    Args:
        address: Where to listen; port 0 lets the system choose.
        key: The pre-shared key, at least 32 bytes.
        accept: Gives the receiver of a session asked for; the session is accepted or
            closed then or later. None: it has been closed.
        former_key: A second key accepted while keys are changed.

    Raises:
        OSError: The address cannot be bound.
    """

    def __init__(
        self,
        address: Address,
        key: bytes,
        accept: Callable[[LinkSession, bytes], SessionReceiver | None],
        *,
        former_key: bytes | None = None,
    ) -> None:
        keys = [LinkKey(secret) for secret in (key, former_key) if secret is not None]
        self._handshake = ListenerHandshake(tuple(keys), os.urandom(32))
        self._accept = accept
        self._links: dict[int, LiveLink] = {}
        self._ended = LinkStats()
        self._loop = asyncio.get_running_loop()
        self._udp = UdpSocket(
            address.host, address.port, self._receive, runs_of=self._knows
        )
        self.refused = 0

    @property
    def address(self) -> Address:
        """The bound host and port."""
        return Address(*self._udp.address)

    @property
    def link_count(self) -> int:
        """Links that are up."""
        return len(self._links)

    @property
    def session_count(self) -> int:
        """Sessions on all links."""
        return sum(len(live.core.sessions) for live in self._links.values())

    @property
    def rtts_s(self) -> list[float]:
        """Smoothed round-trip times of the links that are up and measured, seconds."""
        measured = (live.core.rtt.smoothed_s for live in self._links.values())
        return [rtt_s for rtt_s in measured if rtt_s is not None]

    @property
    def stats(self) -> LinkStats:
        """Figures of all links, ended ones too."""
        total = LinkStats()
        total.add(self._ended)
        for live in self._links.values():
            total.add(live.core.stats)
        total.datagrams_unsent = self._udp.dropped_sends
        return total

    async def run(self) -> None:
        """Serve until cancelled, then leave all links and release the port."""
        try:
            await asyncio.Event().wait()
        finally:
            for live in tuple(self._links.values()):
                live.leave("the relay left")
            self._udp.close()

    def _receive(self, datagram: bytes, address: UdpAddress) -> None:
        """Find the link of a datagram. HOT PATH."""
        live = self._links.get(int.from_bytes(datagram[4:8], "big"))
        if live is not None:
            live.receive(datagram, address)
        else:
            self._greet(datagram, address)

    def _knows(self, datagram: bytes) -> bool:
        """Return whether a datagram says it is of one of our links."""
        return int.from_bytes(datagram[4:8], "big") in self._links

    def _greet(self, datagram: bytes, address: UdpAddress) -> None:
        """Take a datagram of no link: a handshake, or nothing; both are counted."""
        now = self._loop.time()
        try:
            match datagram[1:2]:
                case b"\x01":
                    self._udp.send(self._handshake.welcome(datagram, now), address)
                case b"\x03" if len(self._links) < MAX_LINKS:
                    self._begin(self._handshake.finished(datagram, now), address, now)
                case _:
                    self.refused += 1
        except RemoteError:
            self.refused += 1

    def _begin(self, ends: Ends, address: UdpAddress, now: float) -> None:
        core = Link.answer(ends, now)
        self._ended.ups += 1
        log.info("link up", extra={"link": ends.link_id, "from": address[0]})
        self._links[ends.link_id] = LiveLink(
            core, self._udp.send, address, self._accept, self._changed
        )

    def _changed(self, live: LiveLink, down: str | None) -> None:
        if down is not None:
            log.info("link down", extra={"link": live.core.id, "reason": down})
            self._links.pop(live.core.id, None)
            self._ended.downs += 1
            self._ended.add(live.core.stats)
