"""What is left of a session on a live link when it is closed; and where links send."""

import asyncio
import weakref
from types import SimpleNamespace
from typing import Any, Final, cast

import pytest

from proto import wire
from proto.errors import CloseCode
from proto.frames import FRAME_BYTES, DownFrame, UpFrame
from proto.handshake import NONCE_BYTES, DialerHandshake, LinkKey, ListenerHandshake
from proto.link import Link
from proto.live import LinkSession, LiveLink, SessionReceiver
from proto.messages import Ping
from proto.session import Session
from runtime.udp import UdpAddress
from tests.support import clock
from tests.support.freeing import no_collection

pytestmark = pytest.mark.usefixtures("each_way")

EDGE: Final = "192.0.2.1", 1
RELAY: Final = "192.0.2.2", 2
ELSEWHERE: Final = "192.0.2.3", 3


class IdleLink:
    """A link that does nothing."""

    def __init__(self) -> None:
        sealer = SimpleNamespace(sender=lambda *_: SimpleNamespace(send=None))
        self.core = SimpleNamespace(frame_sealer=sealer)

    def now(self) -> float:
        return 5.0

    def forget(self, session: LinkSession) -> None: ...

    def settle(self, core: Session) -> None: ...


class Closable:
    """The core of a session that can be closed."""

    id = 1

    def __init__(self) -> None:
        self.audio = SimpleNamespace(seal_frame=None, sink=None)

    def close(self, *_: object) -> None: ...


def test_a_session_that_is_closed_is_held_by_nothing_it_holds() -> None:
    link: Any = IdleLink()
    core: Any = Closable()
    session = LinkSession(link, core)
    receiver = SimpleNamespace(frame_received=print)
    session.attach(cast(SessionReceiver, receiver))
    assert core.audio.sink is session
    session.hear(input)
    session.close()
    assert core.audio.sink is not session
    assert session.frame_received not in (print, input)


class Owner:
    """Has a session, and hears of it."""

    def __init__(self) -> None:
        self.session: LinkSession | None = None
        self.frames: list[UpFrame | DownFrame] = []
        self.codes: list[CloseCode] = []

    def opened(self) -> None: ...

    def event_received(self, payload: bytes) -> None: ...

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        self.frames.append(frame)

    def frames_lost(self, count: int) -> None: ...

    def flush_requested(self, talkspurt: int) -> None: ...

    def flush_done(self, talkspurt: int, heard_samples: int) -> None: ...

    def closed(self, code: CloseCode, reason: str) -> None:
        self.codes.append(code)


class Wire:
    """Both ends of a link, and the datagrams between them with where each is to go."""

    def __init__(self) -> None:
        self.up: list[tuple[bytes, UdpAddress]] = []
        self.down: list[tuple[bytes, UdpAddress]] = []
        self.owners: list[Owner] = []
        now, key = asyncio.get_running_loop().time(), LinkKey(bytes(32))
        listener = ListenerHandshake((key,), bytes(32))
        dialer = DialerHandshake(key, 1, bytes(NONCE_BYTES))
        self.edge = self._live(Link.dial(dialer, now), self.up, RELAY)
        self.edge.receive(listener.welcome(self.up.pop()[0], now), RELAY)
        ends = listener.finished(self.up.pop()[0], now)
        self.relay = self._live(Link.answer(ends, now), self.down, EDGE)
        self.carry()

    def carry(self) -> None:
        """Have all that is under way arrive, and what comes of it."""
        while self.up or self.down:
            while self.up:
                self.relay.receive(self.up.pop(0)[0], EDGE)
            while self.down:
                self.edge.receive(self.down.pop(0)[0], RELAY)

    def leave(self) -> None:
        self.edge.leave("")
        self.carry()

    def _live(
        self, core: Link, sent: list[tuple[bytes, UdpAddress]], peer: UdpAddress
    ) -> LiveLink:
        def send(datagram: bytes, address: UdpAddress) -> None:
            sent.append((datagram, address))

        return LiveLink(core, send, peer, self._accept, lambda *_: None)

    def _accept(self, session: LinkSession, request: bytes) -> Owner:
        del request
        session.accept()
        owner = Owner()
        owner.session = session
        self.owners.append(owner)
        return owner


def test_who_was_told_of_the_end_of_a_session_goes_without_a_collection() -> None:
    async def main() -> None:
        wired = Wire()
        session = wired.edge.open_session(b"{}", Owner())
        wired.carry()
        session.send_up(UpFrame(0, 0, 0, bytes(FRAME_BYTES)))
        wired.carry()
        owner = wired.owners.pop()
        assert owner.session is not None
        owner.session.hear(owner.frame_received)
        assert len(owner.frames) == 1
        held = weakref.ref(owner)
        with no_collection():
            session.close()
            wired.carry()
            assert owner.codes == [CloseCode.NORMAL]
            del owner
            assert held() is None
        wired.leave()

    clock.run(main())


def ping(end: LiveLink) -> bytes:
    return end.core.seal(wire.encode(Ping(99, 0)))


def test_a_dialer_sends_to_where_it_dialled_whatever_answers() -> None:
    async def main() -> None:
        wired = Wire()
        wired.edge.receive(ping(wired.relay), ELSEWHERE)
        assert [address for _, address in wired.up] == [RELAY]
        wired.leave()

    clock.run(main())


def test_a_listener_follows_what_is_authentic_and_newer_and_nothing_else() -> None:
    async def main() -> None:
        wired = Wire()
        old, new, last = (ping(wired.edge) for _ in range(3))
        forged = last[:-1] + bytes([last[-1] ^ 1])
        wired.relay.receive(new, ELSEWHERE)
        for datagram in (old, new, forged):
            wired.relay.receive(datagram, EDGE)
            assert wired.relay.address == ELSEWHERE
        assert [address for _, address in wired.down] == [ELSEWHERE] * 2
        wired.relay.receive(last, EDGE)
        assert wired.relay.address == EDGE
        wired.leave()

    clock.run(main())
