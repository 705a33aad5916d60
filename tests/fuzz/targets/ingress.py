"""Datagrams from strangers at the forwarder, on both sides of it."""

from tests.fuzz.draw import Draw
from tests.fuzz.targets.greeting import NOW, SECRET, changed
from tests.ingress.test_router import ANSWER, MEDIA, check
from transceiver.ingress.envelope import Labels
from transceiver.ingress.flows import IDLE_S
from transceiver.ingress.route import Routes
from transceiver.ingress.router import Router

OWNER = ("10.0.0.1", 3478)
CALLER, STRANGER = ("198.51.100.7", 40_000), ("203.0.113.9", 50_000)


class Forwarding:
    """Nobody is reached without a route, or without a label; no flow is lost."""

    def __init__(self) -> None:
        routes, labels = Routes(SECRET), Labels(SECRET)
        self._route = routes.mint(OWNER)
        self._label = labels.make(CALLER)
        self._check = check(self._route)
        self._router = Router(routes, labels, max_flows=4)
        self._router.from_client(self._check, CALLER, NOW)
        self._router.from_owner(self._label + ANSWER, OWNER, NOW)

    def __call__(self, data: bytes) -> None:
        draw = Draw(data)
        name = changed(self._route.encode(), draw)
        crafted = self._check.replace(self._route.encode(), name[:36].ljust(36, b"A"))
        for datagram in (data, changed(self._check, draw), crafted):
            _, owners = self._router.from_client(datagram, STRANGER, NOW)
            if self._route.encode() in datagram:
                self._forget_the_stranger()
            else:
                assert not owners
        labelled = self._label + MEDIA
        for datagram in (data, changed(labelled, draw), changed(self._label, draw)):
            _, client = self._router.from_owner(datagram, OWNER, NOW)
            assert client is None or datagram.startswith(self._label)
        assert set(self._router.flows.sources) == {CALLER}
        assert self._router.flows.proven == 1

    def _forget_the_stranger(self) -> None:
        """A stranger with a caller's ufrag makes a flow that nobody answers."""
        assert self._router.flows.unproven <= 1
        self._router.from_client(self._check, CALLER, NOW + 1)
        self._router.flows.expire(NOW + IDLE_S)
        self._router.from_client(self._check, CALLER, NOW)
