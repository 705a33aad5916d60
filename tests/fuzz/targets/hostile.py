"""A peer that has the key, on a link where another session must not notice.

Session 2 of the victim is used honestly while the fuzzer's script attacks the link, its
other sessions, and sessions that never were. Session 2 has to hear exactly what was
sent to it, and what it sends has to arrive. All of it happens once more without lanes,
and the victim has to do the same.
"""

import math
from collections.abc import Callable

from proto import wire
from proto.errors import LocalError, RemoteError
from proto.events import (
    Closed,
    Event,
    EventReceived,
    FlushRequested,
    Offered,
    Opened,
)
from proto.frames import DownFrame, UpFrame
from proto.handshake import Ends
from proto.link import Link, LinkState
from proto.messages import (
    MAX_MESSAGE_BYTES,
    MAX_REQUEST_BYTES,
    Ack,
    Bye,
    Carried,
    Control,
    Flush,
    Flushed,
    Fragment,
    Last,
    Message,
    Nack,
    Ping,
    Pong,
    Reset,
)
from proto.order import DEPTH
from proto.payload import BOUNDS, Payload
from proto.port import Role
from proto.roster import MAX_REMEMBERED, MAX_SESSIONS
from proto.session import Session, SessionState
from proto.stream import MAX_IN_FLIGHT, WINDOW, Inbox
from tests.fuzz.draw import Draw
from tests.fuzz.targets.greeting import NOW, dialer, listener
from tests.proto.lanes import without_lanes

BYSTANDER = 2
MAX_ANSWERS = 3000
"""Datagrams that one datagram may cause: repairs, and a window of fragments."""


def joined(victim: Role) -> tuple[Link, Ends]:
    """Return a victim that is up, but for one datagram, and its peer's end."""
    host, guest = listener(), dialer()
    if victim is Role.DIALER:
        link = Link.dial(guest, NOW)
        link.receive_datagram(host.welcome(guest.hello(), NOW), NOW)
        return link, host.finished(link.take_datagrams()[-1], NOW)
    finish, ends = guest.welcomed(host.welcome(guest.hello(), NOW), NOW)
    return Link.answer(host.finished(finish, NOW), NOW), ends


class Ear:
    """The sink of one session; whatever it takes is also put into a list of all."""

    def __init__(self, seen: list[object]) -> None:
        self.heard: list[int] = []
        self._seen = seen

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        self.heard.append(frame.position_samples)
        self._seen.append(frame)

    def failed(self, error: Exception) -> None:
        raise error

    def frames_lost(self, count: int) -> None:
        self._seen.append(count)


class Judge(Ear):
    """The sink of a session that is attacked: frames are what was agreed on."""

    def __init__(self, session: Session, seen: list[object]) -> None:
        super().__init__(seen)
        self._session = session

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        super().frame_received(frame)
        bounds = BOUNDS[self._session.payload]
        assert 0 < len(frame.payload) <= bounds.max_bytes
        assert len(frame.payload) % bounds.grain_bytes == 0


class Attack:
    """One script, played against one victim."""

    def __init__(self, data: bytes, victim: Role) -> None:
        self._draw = Draw(data)
        self._now = NOW
        self._victim = victim
        self._link, self._ends = joined(victim)
        self.seen: list[object] = []
        """What the victim sent, heard, and told its owner, each time."""
        self._ear = Ear(self.seen)
        self._spoken = 0
        self._told: list[bytes] = []
        self._heard: list[bytes] = []
        self._sent: list[bytes] = []
        self._arrived: list[bytes] = []
        self._inbox = Inbox(BYSTANDER)
        self._next_seq = 1
        self._open_sessions()

    def run(self) -> None:
        steps = (
            *(self._send_message,) * 4,
            *(self._send_frame,) * 2,
            *(self._pass_time, self._command, self._command, self._speak_honestly),
            *(self._tell_honestly, self._send_raw, self._send_near_message),
        )
        while self._draw.has_more and self._link.state is LinkState.UP:
            self._draw.choice(steps)()
            self._follow_up()
        if self._link.state is LinkState.UP:
            self._settle_honestly()
            assert self._ear.heard == list(range(self._spoken))
            assert self._heard == self._told
            assert self._arrived == self._sent
            self._send(Bye(self._draw.byte()))
            self._follow_up()
        assert self._link.state is LinkState.CLOSED
        assert not self._link.sessions
        assert self._link.deadline == math.inf

    # The honest part

    def _open_sessions(self) -> None:
        self._send(Ping(1, 1))
        self._follow_up()
        for number in (1, BYSTANDER, 3):
            if self._victim is Role.DIALER:
                self._link.open_session(b"{}", self._now)
                self._follow_up()
                self._send(Ack(number, 2, 258, ()))
                self._send(Fragment(number, 1, Carried.OPENED, True, b"\0"))
            else:
                self._send(Fragment(number, 1, Carried.OPEN, True, b"\0{}"))
            self._follow_up()
        self._next_seq = 2
        bystander = self._link.sessions[BYSTANDER]
        bystander.audio.sink = self._ear
        assert bystander.state is SessionState.OPEN

    def _speak_honestly(self) -> None:
        """Send the bystander a few frames: in order, doubled, or the first one late."""
        first, order = (
            self._spoken,
            self._draw.choice(((0,), (0, 0), (1, 0), (2, 1, 0))),
        )
        self._spoken += max(order) + 1
        for number in order:
            position = first + number
            self._seal(self._frame(BYSTANDER, position + 1, position))

    def _tell_honestly(self) -> None:
        """Send the bystander an event, or have it send one."""
        payload = self._draw.short()
        if self._draw.chance(0.5):
            self._told.append(payload)
            self._send(
                Fragment(BYSTANDER, self._next_seq, Carried.EVENT, True, payload)
            )
            self._next_seq += 1
        else:
            bystander = self._link.sessions[BYSTANDER]
            self._sent.append(payload)
            bystander.send_event(payload)
            self._link.settle(bystander, self._now)

    def _settle_honestly(self) -> None:
        """Give what the bystander has sent the time to arrive."""
        for _ in range(40 + 2 * len(self._sent)):
            self._now += 0.1
            self._send(Ping(1, 1))
            self._follow_up()
            if len(self._arrived) == len(self._sent):
                return

    # The attack

    def _session(self) -> int:
        """Return any session but the bystander."""
        number = self._draw.choice((1, 1, 1, 3, 3, 4, 5, self._draw.number()))
        return 1 if number in (0, BYSTANDER) else min(number, 0xFFFF_FFFF)

    def _send_message(self) -> None:
        """Send any message of any content."""
        n, draw, session = self._draw.number, self._draw, self._session()
        near = draw.byte()
        makers: tuple[Callable[[], Control], ...] = (
            lambda: Ping(n(), n()),
            lambda: Pong(n()),
            lambda: Last(session, n() or 1, draw.below(60_001)),
            lambda: Nack(session, tuple(n() for _ in range(draw.byte() % 65))),
            lambda: Nack(session, tuple(range(near, near + 64))),
            lambda: Fragment(session, near or 1, draw.byte() % 6, is_last(), b""),
            lambda: Fragment(session, n() or 1, n(), is_last(), bytes(size())),
            lambda: Fragment(
                session, 1, Carried.OPEN, True, bytes((near % 4, 1, 2, 9))
            ),
            lambda: Fragment(session, 1, Carried.OPENED, True, bytes((near % 5,))),
            lambda: _ack(session, sorted({n() for _ in range(near % 8)})),
            lambda: Ack(session, near, near + 256, ()),
            lambda: Reset(session, n()),
            lambda: Flush(session, n(), n()),
            lambda: Flushed(session, n(), n(), n()),
        )

        def is_last() -> bool:
            return draw.chance(0.5)

        def size() -> int:
            return draw.choice((0, 2, 100, 1100, 1100))

        self._send(draw.choice(makers)())

    def _send_near_message(self) -> None:
        """Send the next fragments of a session, as a flood would."""
        session, seq = self._session(), self._draw.byte() + 1
        carried = self._draw.choice((Carried.EVENT, *Carried))
        for number in range(seq, seq + 1 + self._draw.byte() % 64):
            is_last = self._draw.chance(0.1)
            self._send(Fragment(session, number, carried, is_last, bytes(1100)))

    def _send_frame(self) -> None:
        seq = self._draw.choice((self._draw.byte(), self._draw.number()))
        size = self._draw.choice((1, 2, 160, 161, 960, 961, 1000, 1001))
        position = self._draw.number()
        self._seal(self._frame(self._session(), seq or 1, position, bytes(size)))

    def _send_raw(self) -> None:
        """Send what is no message, or not sealed at all."""
        raw = self._draw.short()
        if self._draw.chance(0.7):
            text = _message_for(raw)
            if text is not None and getattr(text, "session", 0) == BYSTANDER:
                return
            if isinstance(text, Bye):
                return
            self._seal(raw)
        else:
            self._link.receive_datagram(raw, self._now)

    def _pass_time(self) -> None:
        """Let up to half a second go by; the link stays up."""
        self._now += self._draw.byte() / 512
        self._send(Ping(1, 1))

    def _command(self) -> None:
        """Do what an owner might, on a session that is attacked."""
        draw, link = self._draw, self._link
        session = link.sessions.get(draw.choice((1, 3, 4)))
        if session is None:
            self._open_another()
            return
        try:
            match draw.byte() % 8:
                case 0 | 1:
                    size = draw.choice((0, 10, 1200, 70_000, MAX_MESSAGE_BYTES))
                    session.send_event(bytes(size))
                case 2 | 3:
                    self._say(session)
                case 4:
                    session.flush(draw.number(), self._now)
                case 5:
                    session.flushed(draw.number(), draw.number())
                case 6 if draw.chance(0.2):
                    session.close(draw.choice((0, 5)), "", self._now)  # type: ignore[arg-type]  # an integer enumeration
        except LocalError:
            return
        link.settle(session, self._now)

    def _open_another(self) -> None:
        if self._victim is Role.DIALER and self._draw.chance(0.3):
            offered = self._draw.choice(((), (Payload.OPUS,), tuple(Payload)))
            self._link.open_session(bytes(self._draw.byte()), self._now, offered)

    def _say(self, session: Session) -> None:
        frame = (
            UpFrame(0, 0, 0, b"\0\0")
            if self._victim is Role.DIALER
            else DownFrame(1, 0, self._draw.byte() * 4, b"\0\0")
        )
        self.seen.append(session.audio.seal_frame(frame, self._now))

    # Both

    def _frame(
        self, session: int, seq: int, position: int, payload: bytes = b"\0\0"
    ) -> bytes:
        if self._victim is Role.DIALER:
            frame = DownFrame(1 + position % 3, position, 200, payload)
            return wire.encode_down(session, seq, frame)
        return wire.encode_up(session, seq, UpFrame(position, 0, 0, payload))

    def _send(self, message: Control) -> None:
        self._seal(wire.encode(message))

    def _seal(self, plaintext: bytes) -> None:
        self._link.receive_datagram(self._ends.sealer.seal(plaintext), self._now)

    def _follow_up(self) -> None:
        """Do as a shell does; read what the bystander sends, and acknowledge it."""
        link = self._link
        for _ in range(2):
            if link.deadline <= self._now:
                link.handle_timeout(self._now)
                assert link.deadline > self._now
            outgoing = link.take_datagrams()
            self.seen += outgoing
            assert len(outgoing) <= MAX_ANSWERS
            for datagram in outgoing:
                assert len(datagram) <= wire.MAX_DATAGRAM_BYTES
                if datagram[1] == wire.DatagramType.SEALED:
                    self._read(wire.decode(self._ends.opener.open(datagram)))
            for event in link.take_events():
                self.seen.append(event)
                self._hear(event)
        check_bounds(link)

    def _read(self, message: Message) -> None:
        if isinstance(message, Fragment) and message.session == BYSTANDER:
            for carried, payload in self._inbox.receive(message):
                if carried == Carried.EVENT:
                    self._arrived.append(payload)
            self._send(self._inbox.ack())

    def _hear(self, event: Event) -> None:
        match event:
            case Offered(number, request):
                assert len(request) <= MAX_REQUEST_BYTES
                session = self._link.sessions.get(number)
                if session is not None:
                    session.audio.sink = Judge(session, self.seen)
                    session.accept(self._draw.choice((Payload.PCM, *session.offered)))
                    self._link.settle(session, self._now)
            case EventReceived(number, payload) if number == BYSTANDER:
                self._heard.append(payload)
            case EventReceived(_, payload):
                assert len(payload) <= MAX_MESSAGE_BYTES
            case Opened(number):
                session = self._link.sessions.get(number)
                if session is not None:
                    session.audio.sink = Judge(session, self.seen)
            case Closed(number) | FlushRequested(number):
                assert number != BYSTANDER or self._link.state is LinkState.CLOSED
            case _:
                pass


def check_bounds(link: Link) -> None:
    assert len(link.sessions) <= MAX_SESSIONS
    assert len(link._roster._ended) <= MAX_REMEMBERED
    assert len(link._roster._timed) <= len(link.sessions)
    assert len(link._roster._speaking) <= len(link.sessions)
    assert len(link._liveness._sent_at) <= 16
    in_flight = 0
    for session in link.sessions.values():
        order, inbox, outbox = session.audio._order, session._inbox, session._outbox
        assert len(order._held) + len(order._gaps) <= DEPTH + 1
        assert not order._ready
        assert len(inbox._held) < WINDOW
        assert len(inbox._part) <= MAX_MESSAGE_BYTES
        assert outbox.in_flight <= MAX_IN_FLIGHT
        in_flight += outbox.in_flight
    assert link.sharing.in_flight == in_flight
    assert len(link.sharing._turns) <= len(link.sessions)


def _ack(session: int, marks: list[int]) -> Ack:
    """Return an ACK of ascending marks: next seq, pairs, limit."""
    next_seq, *others = marks or [0]
    limit = others.pop() if len(others) % 2 else next_seq
    return Ack(session, next_seq, limit, tuple(others))


def _message_for(plaintext: bytes) -> Message | None:
    try:
        return wire.decode(plaintext)
    except RemoteError:
        return None


def against_edge(data: bytes) -> None:
    """A relay with the key attacks an edge."""
    _attack(data, Role.DIALER)


def against_relay(data: bytes) -> None:
    """An edge with the key attacks a relay."""
    _attack(data, Role.LISTENER)


def _attack(data: bytes, victim: Role) -> None:
    attack = Attack(data, victim)
    attack.run()
    with without_lanes():
        reference = Attack(data, victim)
    reference.run()
    assert attack.seen == reference.seen
