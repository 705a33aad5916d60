"""Which relay takes the next call: a link to each, the best of those that are up.

Names are resolved again and again, so that relays come and go behind one name. Of the
relays that take calls the nearest region comes first, then the least of ours on it,
then the shortest way. One that refuses because it drains gets no more new calls for as
long as that link to it lasts; it goes on with those it has.

A process that did not run for longer than links last in silence finds them dead when it
wakes, but only by and by: what the relays sent before they gave it up was kept by the
kernel, and is taken for a sign of life. A new call waits until that is over.
"""

import asyncio
import ipaddress
import logging
import math
import secrets
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence

from proto.errors import LinkError
from proto.liveness import DEAD_AFTER_S
from proto.payload import Payload
from proto.realtime import error_event
from proto.udp import Dialer
from runtime.settings import Address

log = logging.getLogger(__name__)

RESOLVE_S = 5.0
"""Seconds between two looks at what a name stands for: as long as cluster DNS lets
answers be kept (CoreDNS, plugin kubernetes: ttl 5)."""

SURE_AFTER_S = DEAD_AFTER_S + 0.5
"""Seconds from waking to links that can be relied on: those that are dead are known to
be after `DEAD_AFTER_S` and a PING's pause, and are dialled again 0.1 s later at most;
the rest is for three times there and back."""

Resolve = Callable[[Address], Awaitable[Sequence[Address]]]


class NoRelay(LinkError):  # noqa: N818  # reads as what happened
    """No relay can be reached at the moment."""


def relay_lost() -> bytes:
    """Make the `error` event for a client whose relay is lost."""
    return error_event(
        f"event_{secrets.token_urlsafe(12)}",
        "server_error",
        "relay_lost",
        "The connection to the relay was lost.",
    )


async def resolved(name: Address) -> list[Address]:
    """Return what a name stands for, in one address family: a relay may have both.

    Raises:
        OSError: It cannot be resolved.
    """
    found = await asyncio.get_running_loop().getaddrinfo(
        name.host, name.port, type=socket.SOCK_DGRAM
    )
    return [
        Address(str(address[0]), int(address[1]))
        for family, _, _, _, address in found
        if family == found[0][0]
    ]


class Uplink:
    """The links to all configured relays.

    Args:
        regions: Addresses and names of the relays, the nearest region's first.
        key: The pre-shared key.
        payload: What they are asked to carry audio as.
        resolve: Tells what a name stands for; an OSError changes nothing.

    Attributes:
        dialers: Of all relays. A name that has never been resolved has one that is
            never up.
        tunnels: How many tunnels of ours each relay holds; kept by who opens them.
    """

    def __init__(
        self,
        regions: Sequence[Sequence[Address]],
        key: bytes,
        payload: Payload = Payload.PCM,
        resolve: Resolve = resolved,
    ) -> None:
        self.dialers: list[Dialer] = []
        self.tunnels: Counter[Dialer] = Counter()
        self._key = key
        self._payload = payload
        self._resolve = resolve
        self._names: dict[Address, dict[Address, Dialer]] = {}
        self._regions: dict[Dialer, int] = {}
        self._draining: dict[Dialer, int] = {}
        self._dialling: dict[Dialer, asyncio.Task[None]] = {}
        self._sure_at = -math.inf
        for region, addresses in enumerate(regions):
            for address in addresses:
                self._names[address] = {address: self._add(address, region)}

    async def run(self) -> None:
        """Keep a link to every relay; cancelled to stop."""
        async with asyncio.TaskGroup() as group:
            for name, known in self._names.items():
                if _is_literal(name):
                    self._dial(known[name], group)
                else:
                    group.create_task(self._follow(name, known, group))

    def slept(self) -> None:
        """Note that this process has just woken, and that its links may be dead."""
        self._sure_at = asyncio.get_running_loop().time() + SURE_AFTER_S
        log.warning("links in doubt", extra={"links": len(self.dialers)})

    async def sure(self) -> None:
        """Return as soon as links that are up can be relied on; mostly at once."""
        now = asyncio.get_running_loop().time()
        if now < self._sure_at:
            await asyncio.sleep(self._sure_at - now)

    def connected(self) -> list[Dialer]:
        """Return the relays that are connected.

        Raises:
            NoRelay: None is.
        """
        found = [dialer for dialer in self.dialers if dialer.is_up]
        if not found:
            raise NoRelay("no relay is connected")
        return found

    def ranked(self) -> list[Dialer]:
        """Return the relays that take new calls, the best first.

        Raises:
            NoRelay: None does.
        """
        found = [dialer for dialer in self.connected() if not self._is_draining(dialer)]
        if not found:
            raise NoRelay("every relay is draining")
        return sorted(found, key=self._preference)

    def choose(self, *, but: Collection[Dialer] = ()) -> Dialer:
        """Return the relay for a new call.

        Args:
            but: Relays that it has tried.

        Raises:
            NoRelay: There is none.
        """
        for dialer in self.ranked():
            if dialer not in but:
                return dialer
        raise NoRelay("no relay takes the call")

    def leave_out(self, dialer: Dialer) -> None:
        """Give a relay that drains no new calls, as long as this link to it lasts."""
        if not self._is_draining(dialer):
            log.info("relay drains", extra={"relay": dialer.address})
        self._draining[dialer] = dialer.stats.ups

    def _is_draining(self, dialer: Dialer) -> bool:
        return self._draining.get(dialer) == dialer.stats.ups

    def _preference(self, dialer: Dialer) -> tuple[int, int, float]:
        ours = dialer.session_count + self.tunnels[dialer]
        rtt_s = dialer.rtt_s
        return self._regions[dialer], ours, math.inf if rtt_s is None else rtt_s

    async def _follow(
        self, name: Address, known: dict[Address, Dialer], group: asyncio.TaskGroup
    ) -> None:
        """Keep a link to all that a name stands for."""
        region = self._regions[known[name]]
        while True:
            try:
                found = await self._resolve(name)
            except OSError as error:
                log.warning("cannot resolve", extra={"relay": name, "error": error})
            else:
                for address in found:
                    if address not in known:
                        known[address] = self._add(address, region)
                        self._dial(known[address], group)
                for address in [*known]:
                    if address not in found and not known[address].is_up:
                        self._drop(known.pop(address))
            await asyncio.sleep(RESOLVE_S)

    def _add(self, address: Address, region: int) -> Dialer:
        dialer = Dialer(address, self._key, payloads=(self._payload,))
        self.dialers.append(dialer)
        self._regions[dialer] = region
        return dialer

    def _dial(self, dialer: Dialer, group: asyncio.TaskGroup) -> None:
        self._dialling[dialer] = group.create_task(dialer.run())

    def _drop(self, dialer: Dialer) -> None:
        """Forget a relay that is down, and that its name stands for no more."""
        self.dialers.remove(dialer)
        del self._regions[dialer]
        self._draining.pop(dialer, None)
        if not self.tunnels[dialer]:
            del self.tunnels[dialer]
        dialling = self._dialling.pop(dialer, None)
        if dialling is not None:
            dialling.cancel()


def _is_literal(address: Address) -> bool:
    try:
        ipaddress.ip_address(address.host)
    except ValueError:
        return False
    return True
