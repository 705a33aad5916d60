"""HOT PATH. Whom a datagram is for: from a client, and from an owner.

Pure: takes a datagram, its source and the time, returns what to send where.

    from a client                       goes to
      STUN request, its ufrag a route     the owner in the route; makes a flow
      STUN request, any other ufrag       nobody
      anything else, client has flows     their owners
      anything else                       nobody
    from an owner
      label of ours | datagram            the client in the label; makes a flow if the
                                          client has none, so that a forwarder that was
                                          restarted knows it before it is heard
      anything else                       nobody

Nothing is ever sent back to where a datagram came from: no stranger gets an answer.
"""

from dataclasses import dataclass

from transceiver.ingress.endpoint import Endpoint, unpack
from transceiver.ingress.envelope import LABEL_BYTES, Labels
from transceiver.ingress.flows import Flow, Flows
from transceiver.ingress.route import Routes
from transceiver.stun import BINDING_REQUEST, BINDING_SUCCESS, local_ufrag

_NOBODY: tuple[Endpoint, ...] = ()
_AFTER_STUN = 4  # RFC 7983: first bytes 0 to 3 are STUN


@dataclass(slots=True)
class RouterCounters:
    """What passed, and what was dropped by reason."""

    uplink: int = 0
    downlink: int = 0
    unknown_client: int = 0
    unknown_route: int = 0
    no_room: int = 0
    unlabelled: int = 0


class Router:
    """Routes datagrams both ways.

    Args:
        routes: Opens the ufrags of calls.
        labels: Makes and reads clients' labels.
        max_flows: Bound of the table.
        wide_clients: The socket that clients reach is one of IPv6.
        wide_owners: The socket that owners reach is one of IPv6.
    """

    def __init__(
        self,
        routes: Routes,
        labels: Labels,
        max_flows: int,
        *,
        wide_clients: bool = False,
        wide_owners: bool = False,
    ) -> None:
        self.counters = RouterCounters()
        self.flows = Flows(max_flows)
        self._sources = self.flows.sources
        self._clients = self.flows.clients
        self._routes = routes
        self._labels = labels
        self._wide_clients = wide_clients
        self._wide_owners = wide_owners

    def from_client(
        self, data: bytes, client: Endpoint, now: float
    ) -> tuple[bytes, tuple[Endpoint, ...]]:
        """Return what to send, and to which owners; none if it is dropped."""
        if data[:2] == BINDING_REQUEST:
            return self._request(data, client, now)
        source = self._sources.get(client)
        if source is None or not data:
            self.counters.unknown_client += 1
            return data, _NOBODY
        if data[0] < _AFTER_STUN:
            for flow in source.flows:
                self.flows.heard(flow, now)
        self.counters.uplink += 1
        return source.label + data, source.owners

    def from_owner(
        self, data: bytes, owner: Endpoint, now: float
    ) -> tuple[bytes, Endpoint | None]:
        """Return what to send, and to which client; None if it is dropped."""
        label = data[:LABEL_BYTES]
        client = self._clients.get(label)
        if client is None:
            client = self._rebuilt(label, owner, now)
        datagram = data[LABEL_BYTES:]
        if client is None or not datagram:
            self.counters.unlabelled += 1
            return datagram, None
        if datagram[0] < _AFTER_STUN and datagram[:2] == BINDING_SUCCESS:
            self._answered(client, owner)
        self.counters.downlink += 1
        return datagram, client

    def _request(
        self, data: bytes, client: Endpoint, now: float
    ) -> tuple[bytes, tuple[Endpoint, ...]]:
        call = local_ufrag(data)
        flow = None if call is None else self._flow(client, call)
        if flow is None:
            packed = None if call is None else self._routes.owner(call)
            if call is None or packed is None:
                self.counters.unknown_route += 1
                return data, _NOBODY
            owner = unpack(packed, wide=self._wide_owners)
            flow = self._joined(Flow(client, owner, call, now))
            if flow is None:
                return data, _NOBODY
        self.flows.heard(flow, now)
        self.counters.uplink += 1
        return self._sources[client].label + data, (flow.owner,)

    def _flow(self, client: Endpoint, call: str) -> Flow | None:
        source = self._sources.get(client)
        if source is not None:
            for flow in source.flows:
                if flow.call == call:
                    return flow
        return None

    def _joined(self, flow: Flow) -> Flow | None:
        """Return the flow that its call and client share from now on."""
        source = self._sources.get(flow.client)
        if source is not None and flow.call is not None:
            for one in source.flows:
                if one.owner == flow.owner:
                    self.flows.rename(one, flow.call)
                    return one
        label = self._labels.make(flow.client) if source is None else source.label
        if self.flows.open(flow, label):
            return flow
        self.counters.no_room += 1
        return None

    def _rebuilt(self, label: bytes, owner: Endpoint, now: float) -> Endpoint | None:
        """Return the client of a label that is in no table; note who speaks to it."""
        packed = self._labels.read(label)
        if packed is None:
            return None
        client = unpack(packed, wide=self._wide_clients)
        if client not in self._sources:
            self._joined(Flow(client, owner, None, now, is_proven=True))
        return client

    def _answered(self, client: Endpoint, owner: Endpoint) -> None:
        source = self._sources.get(client)
        for flow in source.flows if source is not None else ():
            if flow.owner == owner:
                self.flows.prove(flow)
