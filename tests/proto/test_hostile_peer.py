"""A peer that has the key and sends whatever it likes."""

import random

import pytest

from proto import messages as m, wire
from proto.frames import DownFrame, UpFrame
from proto.link import Link, LinkState
from proto.order import DEPTH
from proto.roster import MAX_REMEMBERED, MAX_SESSIONS
from proto.session import Session
from proto.stream import WINDOW
from tests.support.netem import Lab, accept_all

pytestmark = pytest.mark.usefixtures("each_way")


def number(rng: random.Random) -> int:
    return rng.choice(
        (0, 1, 2, 3, rng.randrange(70), rng.randrange(400), 2**31, 2**32 - 1, m.MAX_INT)
    )


def plaintext(rng: random.Random) -> bytes:
    """Return a message, mostly within the limits."""

    def n() -> int:
        return number(rng)

    session = rng.choice((1, 1, 2, 3, 9, 2**32 - 1))
    low = sorted(rng.sample(range(1, 400), 5))
    message: m.Control = rng.choice(
        (
            m.Ping(n(), n()),
            m.Pong(n()),
            m.Last(session, n(), 100),
            m.Nack(session, tuple(n() for _ in range(rng.randrange(6)))),
            m.Fragment(
                session,
                rng.choice((n(), rng.randrange(1, 40))),
                rng.randrange(7),
                rng.random() < 0.7,
                rng.randbytes(rng.choice((0, 2, 1100))),
            ),
            m.Ack(session, low[0], n(), tuple(low[1 : rng.choice((1, 3, 5))])),
            m.Reset(session, n()) if rng.random() < 0.1 else m.Pong(n()),
            m.Flush(session, n(), n()),
            m.Flushed(session, n(), n(), n()),
        )
    )
    kind = rng.randrange(4)
    if kind == 0:
        return wire.encode_up(session, n(), UpFrame(n(), n(), n(), b"\0\0"))
    if kind == 1:
        return wire.encode_down(session, n(), DownFrame(n(), n(), 100, b"\0\0"))
    if kind == 2 and rng.random() < 0.1:
        return rng.randbytes(40)
    return wire.encode(message)


def check_bounds(link: Link) -> None:
    assert len(link.sessions) <= MAX_SESSIONS
    assert len(link._roster._ended) <= MAX_REMEMBERED
    assert len(link._liveness._sent_at) <= 16
    for session in link.sessions.values():
        order, inbox = session.audio._order, session._inbox
        assert len(order._held) + len(order._gaps) <= DEPTH + 1
        assert len(inbox._held) < WINDOW
        assert len(inbox._part) <= m.MAX_MESSAGE_BYTES


def react(link: Link, lab: Lab) -> None:
    """Do as a service does: accept, answer, and send."""
    for event in link.take_events():
        accept_all(link, event, lab.now)
    for session in tuple(link.sessions.values()):
        use(link, session, lab)
    link.take_datagrams()


def use(link: Link, session: Session, lab: Lab) -> None:
    if session.audio.is_open and lab.rng.random() < 0.2:
        frame = (
            UpFrame(0, 0, 0, b"\0\0")
            if link is lab.edge.link
            else DownFrame(1, 0, 100, b"\0\0")
        )
        session.audio.seal_frame(frame, lab.now)
        session.send_event(b"{}")
        link.settle(session, lab.now)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("victim", ["edge", "relay"])
def test_nothing_raises_and_every_memory_stays_bounded(seed: int, victim: str) -> None:
    lab = Lab(seed)
    lab.connect()
    lab.open(3)
    lab.run(0.5)
    link = lab.edge.link if victim == "edge" else lab.relay.link
    attacker = lab.relay.link if victim == "edge" else lab.edge.link
    for _ in range(3000):
        lab.now += lab.rng.choice((0.0, 0.0, 0.001, 0.02))
        link.receive_datagram(attacker.seal(plaintext(lab.rng)), lab.now)
        if link.deadline <= lab.now:
            link.handle_timeout(lab.now)
        react(link, lab)
        check_bounds(link)
        if victim == "edge" and not link.sessions:
            link.open_session(b"{}", lab.now)
    assert link.state is LinkState.UP
    assert link.deadline > lab.now
