"""The listener's end of the link, a second time: sans-I/O, for tests.

Written from PROTOCOL.md alone, to prove that it says enough; it shares no code
with the project's own. It is minimal: no metrics, no jitter, one loop over all
sessions for each timer.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from tests.second.happenings import Happening
from tests.second.keys import Greeter
from tests.second.layout import FINISH, HEADER, HELLO, SEALED, well_formed
from tests.second.link import Link
from tests.second.sound import NEVER

LINKS = 1024


class Listener:
    """Give it datagrams and the time; take datagrams and happenings."""

    def __init__(
        self, psks: Sequence[bytes], secret: bytes, versions: tuple[int, int] = (1, 1)
    ) -> None:
        self.links: dict[int, Link] = {}
        self.happenings: deque[Happening] = deque()
        self._out: deque[tuple[bytes, Any]] = deque()
        self._greeter = Greeter(psks, secret, versions)

    def receive(self, datagram: bytes, address: Any, now: float) -> None:
        """Take one datagram, whatever it is."""
        if not well_formed(datagram):
            return
        _, kind, _, link_id, _ = HEADER.unpack_from(datagram)
        if kind == HELLO:
            welcome = self._greeter.welcome(datagram, now)
            if welcome is not None:
                self._out.append((welcome, address))
        elif kind == FINISH:
            self._finish(datagram, address, now)
        elif kind == SEALED and link_id in self.links:
            self.links[link_id].receive(datagram, address, now)

    def tick(self, now: float) -> None:
        """Do what is due in every link."""
        for link in self.links.values():
            if now >= link.deadline:
                link.tick(now)

    @property
    def deadline(self) -> float:
        """When to call `tick`."""
        return min((link.deadline for link in self.links.values()), default=NEVER)

    def drain(self, now: float) -> list[tuple[bytes, Any]]:
        """Return what is to be sent, and where; call it after everything else."""
        for link in list(self.links.values()):
            if link.alive:
                link.pump(now)
            self._out += [(datagram, link.address) for datagram in link.out]
            link.out.clear()
            self.happenings += link.happenings
            link.happenings.clear()
            if not link.alive:
                del self.links[link.own_id]
        out = list(self._out)
        self._out.clear()
        return out

    def _finish(self, datagram: bytes, address: Any, now: float) -> None:
        if len(self.links) >= LINKS or HEADER.unpack_from(datagram)[3] in self.links:
            return
        agreed = self._greeter.finish(datagram, now)
        if agreed is not None:
            self.links[agreed.own_id] = Link(agreed, address, now)
