"""The table of flows: which transceivers hold a client's address.

A flow is one pair of client and owner. It begins unproven, by a STUN request whose
route is authentic; it is proven once the owner has answered one with success, which no
owner does for who does not know the call's password. It lives while the client sends
STUN, as every ICE agent does for consent (RFC 7675 section 5.1: about every 5 s).

    the next STUN request, or the owner's next datagram, makes it again after a restart
    unproven ──owner answers──► proven
        └───45 s without STUN─────┴──► gone

Three bounds: flows in all, flows of one call, owners of one client's address. Where one
is reached, the oldest unproven flow within it makes room; if all are proven, the
newcomer is refused, so that no flood takes a live call's flow away. A client's address
may have several owners (a forged source address could claim a second one): what
does not name a call then goes to all of them, and those that it is not for drop it.
"""

from dataclasses import dataclass, field
from typing import Final

from transceiver.ingress.endpoint import Endpoint

IDLE_S: Final = 45.0
"""Life without STUN from the client: consent is lost after 30 s (RFC 7675)."""

MAX_OF_CALL: Final = 16
"""Flows of one call: a client checks from each of its addresses, and may move."""

MAX_OWNERS: Final = 3
"""Owners of one client's address."""


@dataclass(slots=True, eq=False)
class Flow:
    """One client at one owner.

    Attributes:
        call: The ufrag that opened it; None: the owner's datagram did.
        heard_s: When the client last sent STUN, in monotonic seconds.
    """

    client: Endpoint
    owner: Endpoint
    call: str | None
    heard_s: float
    is_proven: bool = False


@dataclass(slots=True)
class Source:
    """A client's address: how owners are told of it, and which they are."""

    label: bytes
    owners: tuple[Endpoint, ...] = ()
    flows: list[Flow] = field(default_factory=list)


class Flows:
    """All flows; at most `bound` of them.

    Attributes:
        sources: Clients' addresses that have a flow.
        clients: The same by label.
    """

    def __init__(self, bound: int) -> None:
        self.sources: dict[Endpoint, Source] = {}
        self.clients: dict[bytes, Endpoint] = {}
        self._bound = bound
        self._unproven: dict[Flow, None] = {}
        self._proven: dict[Flow, None] = {}
        self._of_call: dict[str, list[Flow]] = {}

    @property
    def unproven(self) -> int:
        """How many no owner has answered yet."""
        return len(self._unproven)

    @property
    def proven(self) -> int:
        """How many an owner has answered."""
        return len(self._proven)

    def open(self, flow: Flow, label: bytes) -> bool:
        """Add a flow; False where a bound is reached and all within it are proven.

        Args:
            flow: One that is not there yet.
            label: That of its client.
        """
        self.expire(flow.heard_s)
        if not self._make_room_for(flow):
            return False
        source = self.sources.get(flow.client)
        if source is None:
            source = self.sources[flow.client] = Source(label)
            self.clients[label] = flow.client
        source.flows.append(flow)
        source.owners = tuple(one.owner for one in source.flows)
        if flow.call is not None:
            self._of_call.setdefault(flow.call, []).append(flow)
        (self._proven if flow.is_proven else self._unproven)[flow] = None
        return True

    def rename(self, flow: Flow, call: str) -> None:
        """Count a flow for another call, unless that one has as many as it may."""
        siblings = self._of_call.setdefault(call, [])
        if len(siblings) < MAX_OF_CALL:
            siblings.append(flow)
            self._leave_call(flow)
            flow.call = call

    def heard(self, flow: Flow, now: float) -> None:
        """Note that the client sent STUN; keeps both tables in this order."""
        table = self._proven if flow.is_proven else self._unproven
        del table[flow]
        table[flow] = None
        flow.heard_s = now

    def prove(self, flow: Flow) -> None:
        """Note that the owner has answered with success."""
        if not flow.is_proven:
            del self._unproven[flow]
            self._proven[flow] = None
            flow.is_proven = True

    def expire(self, now: float) -> None:
        """Drop the flows that were not heard for too long."""
        for table in (self._unproven, self._proven):
            while table:
                flow = next(iter(table))
                if flow.heard_s + IDLE_S > now:
                    break
                self._drop(flow)

    def _make_room_for(self, flow: Flow) -> bool:
        source = self.sources.get(flow.client)
        if source is not None and not self._has_room(source.flows, MAX_OWNERS):
            return False
        siblings = self._of_call.get(flow.call, []) if flow.call is not None else []
        if not self._has_room(siblings, MAX_OF_CALL):
            return False
        if len(self._unproven) + len(self._proven) < self._bound:
            return True
        oldest = next(iter(self._unproven), None)
        if oldest is not None:
            self._drop(oldest)
        return oldest is not None

    def _has_room(self, flows: list[Flow], bound: int) -> bool:
        """Return whether one more may join; the oldest unproven one makes room."""
        if len(flows) < bound:
            return True
        oldest = next((flow for flow in flows if not flow.is_proven), None)
        if oldest is not None:
            self._drop(oldest)
        return oldest is not None

    def _drop(self, flow: Flow) -> None:
        del (self._proven if flow.is_proven else self._unproven)[flow]
        source = self.sources[flow.client]
        source.flows.remove(flow)
        source.owners = tuple(one.owner for one in source.flows)
        if not source.flows:
            del self.sources[flow.client], self.clients[source.label]
        self._leave_call(flow)

    def _leave_call(self, flow: Flow) -> None:
        if flow.call is None:
            return
        siblings = self._of_call[flow.call]
        siblings.remove(flow)
        if not siblings:
            del self._of_call[flow.call]
