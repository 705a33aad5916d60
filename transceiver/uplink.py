"""Which relay takes the next call: a link to each, the least loaded one wins."""

import asyncio
from collections import Counter

from proto.errors import LinkError
from proto.payload import Payload
from proto.udp import Dialer
from runtime.settings import Address


class NoRelay(LinkError):  # noqa: N818  # reads as what happened
    """No relay can be reached at the moment."""


class Uplink:
    """The links to all configured relays.

    Args:
        addresses: Theirs.
        key: The pre-shared key.
        payload: What they are asked to carry audio as.

    Attributes:
        tunnels: How many tunnels of ours each relay holds; kept by who opens them.
    """

    def __init__(
        self,
        addresses: tuple[Address, ...],
        key: bytes,
        payload: Payload = Payload.PCM,
    ) -> None:
        self.dialers = [
            Dialer(address, key, payloads=(payload,)) for address in addresses
        ]
        self.tunnels: Counter[Dialer] = Counter()

    async def run(self) -> None:
        """Keep a link to every relay; cancelled to stop."""
        async with asyncio.TaskGroup() as group:
            for dialer in self.dialers:
                group.create_task(dialer.run())

    def ranked(self) -> list[Dialer]:
        """Return the relays that are connected, the one with the least of ours first.

        Raises:
            NoRelay: None is connected.
        """
        connected = [dialer for dialer in self.dialers if dialer.is_up]
        if not connected:
            raise NoRelay("no relay is connected")
        return sorted(
            connected, key=lambda dialer: dialer.session_count + self.tunnels[dialer]
        )

    def choose(self) -> Dialer:
        """Return the relay with the fewest sessions of ours.

        Raises:
            NoRelay: None is connected.
        """
        return self.ranked()[0]
