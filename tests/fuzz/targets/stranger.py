"""Datagrams from senders without the key, at links in each state."""

from typing import Any

from proto.link import Link
from proto.port import Role
from proto.wire import HEADER, HEADER_BYTES
from tests.fuzz.draw import Draw
from tests.fuzz.targets.greeting import NOW, changed, dialer, listener
from tests.fuzz.targets.hostile import joined


class Stranger:
    """Nothing that a stranger sends changes a link, or is answered by it."""

    def __init__(self) -> None:
        greeting = dialer()
        finishing, _ = joined(Role.DIALER)
        edge, relay_end = joined(Role.DIALER)
        relay, edge_end = joined(Role.LISTENER)
        self._genuine = [listener().welcome(greeting.hello(), NOW)]
        for link, peer in ((edge, relay_end), (relay, edge_end)):
            self._genuine.append(peer.sealer.seal(b"\x93\x01\x01\x01"))
            link.receive_datagram(self._genuine[-1], NOW)
        edge.open_session(b"{}", NOW)
        self._links = [Link.dial(greeting, NOW), finishing, edge, relay]
        for link in self._links:
            link.take_datagrams()
            link.take_events()
        self._states = [_state(link) for link in self._links]

    def __call__(self, data: bytes) -> None:
        draw = Draw(data)
        genuine = draw.choice(self._genuine)
        variants = {data, changed(genuine, draw), self._crafted(draw)}
        for strange in variants - set(self._genuine):
            for link, state in zip(self._links, self._states, strict=True):
                assert not link.receive_datagram(strange, NOW)
                assert _state(link) == state
        for replayed in self._genuine[1:]:
            assert not self._links[2].receive_datagram(replayed, NOW)
            assert not self._links[3].receive_datagram(replayed, NOW)

    def _crafted(self, draw: Draw) -> bytes:
        """Return a header with any epoch and counter, and any body."""
        header = HEADER.pack(
            draw.choice((1, 1, 1, draw.byte())),
            draw.choice((4, 4, 2, draw.byte())),
            draw.choice((0, 1, 2, 65_535, draw.below(65_536))),
            draw.choice((7, draw.number() & 0xFFFF_FFFF)),
            draw.number(),
        )
        assert len(header) == HEADER_BYTES
        return header + draw.rest().ljust(draw.byte(), b"\0")


def _state(link: Link) -> tuple[Any, ...]:
    """Return all of a link that a sender could want to change, but for its counts."""
    opener = link._ends.opener if link._ends is not None else None
    return (
        link.state,
        link.deadline,
        tuple(link.outgoing),
        tuple(link.events),
        tuple(link.sessions),
        link._liveness.heard_at,
        link.rtt.smoothed_s,
        opener and (opener.newest, opener.opened, opener._epoch),
    )
