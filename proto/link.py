"""One end of a link, without I/O (PROTOCOL.md 3 and 9).

    state      WELCOME    SEALED  BYE     LOST    LEAVE
    GREETING   FINISHING  -       -       CLOSED  CLOSED
    FINISHING  -          UP      -       CLOSED  CLOSED
    UP         -          UP      CLOSED  CLOSED  CLOSED
    CLOSED     -          -       -       -       CLOSED

A dialer's link begins in GREETING, a listener's in UP, for a FINISH made it. LOST is a
peer that is silent or speaks no version of ours, LEAVE is ours. A link that is CLOSED
stays so: the shell makes a new one.

Use: call one method (a command on a session is followed by `settle`); then send what
`take_datagrams()` returns, act on `take_events()`, and call `handle_timeout()` at
`deadline`, which each call may change. Two things go past this, for speed: a frame to
send is returned as its datagram (`Session.audio.seal_frame`), a frame received goes
straight to `Session.audio.sink`, which may call anything but `receive_datagram`.
What the peer does wrong is counted in `stats` and never raised.
"""

import copy
import enum
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from proto import wire
from proto.errors import CloseCode, NotConnected, RemoteError
from proto.events import Event, LinkDown, LinkUp
from proto.greeting import Greeting
from proto.handshake import DialerHandshake, Ends, VersionMismatch
from proto.liveness import Liveness
from proto.messages import (
    Ack,
    Bye,
    Carried,
    Control,
    Down,
    Flush,
    Flushed,
    Fragment,
    Kind,
    Last,
    Nack,
    Ping,
    Pong,
    Reset,
    Up,
)
from proto.payload import Payload
from proto.port import Role, Speaker
from proto.roster import Roster
from proto.seal import Replayed, Unauthentic
from proto.session import Session
from proto.sharing import Sharing
from proto.stats import LinkStats, Rtt
from proto.wire import MAX_DATAGRAM_BYTES, MIN_DATAGRAM_BYTES, DatagramType

try:
    from proto.lane import FrameOpener, FrameSealer
except ImportError:  # not compiled
    from proto.laneless import FrameOpener, FrameSealer


class LinkState(enum.Enum):
    """Rows of the table above."""

    GREETING = enum.auto()
    FINISHING = enum.auto()
    UP = enum.auto()
    CLOSED = enum.auto()


class LinkInput(enum.Enum):
    """Columns of the table above."""

    WELCOME = enum.auto()
    SEALED = enum.auto()
    BYE = enum.auto()
    LOST = enum.auto()
    LEAVE = enum.auto()


_SEALED: Final = int(DatagramType.SEALED)
_S, _I = LinkState, LinkInput
_FINISHING, _CLOSED = _S.FINISHING, _S.CLOSED
"""As `_SEALED`: looked up for each datagram."""

_ENDINGS = {_I.LOST: _S.CLOSED, _I.LEAVE: _S.CLOSED}

SUCCESSORS: Final[Mapping[LinkState, Mapping[LinkInput, LinkState]]] = {
    _S.GREETING: {_I.WELCOME: _S.FINISHING, **_ENDINGS},
    _S.FINISHING: {_I.SEALED: _S.UP, **_ENDINGS},
    _S.UP: {_I.SEALED: _S.UP, _I.BYE: _S.CLOSED, **_ENDINGS},
    _S.CLOSED: {},
}


class Link:
    """One end of one link. Make it with `dial` or `answer`.

    `outgoing` and `events` hold what one call produced and are emptied after each.
    """

    def __init__(self, role: Role, state: LinkState, now: float) -> None:
        self.role = role
        self.state = state
        self.deadline = math.inf
        self.rtt = Rtt()
        self.sharing = Sharing()
        self.asked_at = -math.inf
        self._roster = Roster()
        self.sessions: Mapping[int, Session] = self._roster.sessions
        self.outgoing: list[bytes] = []
        self.events: list[Event] = []
        self._stats = LinkStats()
        self._liveness = Liveness(self.rtt, now)
        self._ends: Ends | None = None
        self._greeting: Greeting | None = None
        self._audio_type: type[Up | Down] = Down if role is Role.DIALER else Up
        self._last_session = 0

    @classmethod
    def dial(cls, handshake: DialerHandshake, now: float) -> "Link":
        """Return a dialer's link; its HELLO is the first datagram to send."""
        link = cls(Role.DIALER, _S.GREETING, now)
        link._greeting = Greeting(handshake, now)
        link.transmit(link._greeting.datagram)
        link._rearm()
        return link

    @classmethod
    def answer(cls, ends: Ends, now: float) -> "Link":
        """Return a listener's link, made by a FINISH; a PING shows it to the dialer."""
        link = cls(Role.LISTENER, _S.UP, now)
        link._take(ends)
        link._tick(now)
        link._rearm()
        return link

    # What comes in

    def receive_datagram(self, datagram: bytes, now: float) -> bool:
        """Take a datagram that bears this link's id. HOT PATH.

        Returns:
            Whether it is authentic and newer than all before: its source address is the
            peer's, from now on.
        """
        try:
            if not MIN_DATAGRAM_BYTES <= len(datagram) <= MAX_DATAGRAM_BYTES:
                raise RemoteError("too short or too long")
            if datagram[1] != _SEALED:
                self._receive_welcome(datagram, now)
                return False
            if self._ends is None or self.state is _CLOSED:
                raise RemoteError("no keys, or no more")
            opener = self._ends.opener
            newest = opener.newest
            opened = self._receive(datagram, now)
            if opened is True or opened is False:  # a frame, and handed on
                return opened
            self._liveness.heard_at = now
            if self.state is _FINISHING:
                self._come_up(now)
            message = wire.decode(opened) if type(opened) is bytes else opened
            if type(message) is self._audio_type:
                number, seq, frame = message
                session = self.sessions.get(number)
                if session is None:
                    self._receive_stray(message)
                elif session.audio.receive_frame(seq, frame, now):
                    self._settle(session)
            else:
                self._receive_control(message, now)
            return opener.newest > newest
        except RemoteError as error:
            self._count(error)
        return False

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        if self._greeting is not None:
            self._greet_again(self._greeting, now)
        elif self.state is _S.UP:
            if now >= self._liveness.deadline:
                self._tick(now)
            self._roster.tell_last(now)
            for session in self._roster.due(now):
                session.handle_timeout(now)
                self._settle(session)
            self._send_fragments(now)
        self._rearm()

    # What the owner asks for

    def open_session(
        self, request: bytes, now: float, payloads: tuple[Payload, ...] = ()
    ) -> Session:
        """Dialer: ask for a session, its audio carried as one of `payloads`, or PCM.

        Raises:
            NotConnected: The link is not up, or full.
            LocalError: The request is too long.
        """
        if self.state is not _S.UP or self._roster.is_full:
            raise NotConnected(f"link is {self.state.name}")
        session = Session(self._last_session + 1, self.role, self, now)
        session.request(request, payloads)
        self._last_session = session.id
        self._roster.add(session)
        self.settle(session, now)
        return session

    def settle(self, session: Session, now: float) -> None:
        """Follow up on a command given to a session; call it after each."""
        if session.id in self.sessions:
            self._settle(session)
            self._send_fragments(now)

    def leave(self, code: CloseCode, reason: str) -> None:
        """End the link; tell the peer, as well as one datagram can."""
        if self.state is _S.UP:
            self.send(Bye(code))
        self._go_down(_I.LEAVE, reason)

    def take_datagrams(self) -> list[bytes]:
        """Return what to send, in order."""
        outgoing, self.outgoing = self.outgoing, []
        return outgoing

    def take_events(self) -> list[Event]:
        """Return what happened, in order."""
        events, self.events = self.events, []
        return events

    @property
    def id(self) -> int:
        """What the peer calls this link; 0 before a WELCOME on the dialer's side."""
        return self._ends.link_id if self._ends is not None else 0

    @property
    def stats(self) -> LinkStats:
        """Figures up to now."""
        stats = copy.copy(self._stats)
        if self._ends is not None:
            sealer, opener = self._ends.sealer, self._ends.opener
            stats.datagrams_sent = sealer.counter
            stats.datagrams_received = opener.opened
            stats.datagrams_missing = opener.newest - opener.opened
        stats.fragments_resent = self.sharing.lost_total
        stats.jitter_s = self._liveness.jitter.seconds
        stats.frames = self._roster.frames()
        return stats

    # The port of the sessions

    def send(self, message: Control) -> None:
        """Seal a message and put it among the outgoing datagrams."""
        self.outgoing.append(self.seal(wire.encode(message)))

    def transmit(self, datagram: bytes) -> None:
        """Put a sealed datagram among the outgoing ones."""
        self.outgoing.append(datagram)

    def emit(self, event: Event) -> None:
        """Put an event among those to take."""
        self.events.append(event)

    def spoke(self, speaker: Speaker, now: float) -> None:
        """Watch for the end of what a session began to send."""
        self.deadline = min(self.deadline, self._roster.spoke(speaker, now))

    def seal(self, plaintext: bytes) -> bytes:
        """Replaced by the sealer's own method when there are keys."""
        raise NotConnected(f"link is {self.state.name}")

    def seal_frame(self, session: int, seq: int, frame: Any) -> bytes:
        """Replaced like `seal`."""
        raise NotConnected(f"link is {self.state.name}")

    # Handshake and end

    def _greet_again(self, greeting: Greeting, now: float) -> None:
        if greeting.is_over(now):
            self._go_down(_I.LOST, "no answer")
        elif greeting.is_due(now):
            self.transmit(greeting.datagram)

    def _receive_welcome(self, datagram: bytes, now: float) -> None:
        greeting = self._greeting
        if greeting is None:
            raise RemoteError("welcome out of place")
        try:
            ends = greeting.welcomed(datagram, now)
        except VersionMismatch:
            self._go_down(_I.LOST, "the relay speaks no version of ours")
            return
        self._step(_I.WELCOME)
        self._take(ends)
        if greeting.round_trip_s is not None:
            self.rtt.measured(greeting.round_trip_s)
        self.transmit(greeting.datagram)
        self._rearm()

    def _take(self, ends: Ends) -> None:
        self._ends = ends
        ours, theirs = Kind.UP, Kind.DOWN
        if self.role is Role.LISTENER:
            ours, theirs = theirs, ours
        opener = FrameOpener(ends.opener, theirs, self._roster.sessions, self._liveness)
        self._receive = opener.receive
        self.seal = ends.sealer.seal  # type: ignore[method-assign]  # spares a call per frame
        self.frame_sealer = FrameSealer(ends.sealer, ours)
        self.seal_frame = self.frame_sealer.seal  # type: ignore[method-assign]  # likewise

    def _go_down(self, how: LinkInput, reason: str) -> None:
        if self.state is _S.CLOSED:
            return
        self._step(how)
        self._greeting = None
        for session in tuple(self.sessions.values()):
            session.link_lost(reason)
            self._settle(session)
        self.deadline = math.inf
        self.emit(LinkDown(reason))

    def _step(self, how: LinkInput) -> None:
        successor = SUCCESSORS[self.state].get(how)
        if successor is None:
            raise RemoteError(f"{how.name} while {self.state.name}")
        self.state = successor

    def _count(self, error: RemoteError) -> None:
        match error:
            case Replayed():
                self._stats.replayed += 1
            case Unauthentic():
                self._stats.unauthentic += 1
            case _:
                self._stats.malformed += 1

    # Sealed datagrams

    def _come_up(self, now: float) -> None:
        """Know from the first sealed datagram that the peer has our FINISH."""
        self._step(_I.SEALED)
        self._greeting = None
        self.emit(LinkUp())
        self._tick(now)
        self._rearm()

    def _receive_control(self, message: Any, now: float) -> None:
        """Take any message but audio; audio of the wrong direction ends here too."""
        if type(message) is Fragment:
            self._receive_fragment(message)
        elif (for_session := _FOR_SESSION.get(type(message))) is not None:
            session = self.sessions.get(message.session)
            if session is None:
                self._receive_stray(message)
                return
            try:
                for_session(session, message, now)
            finally:
                self._settle(session)
        elif type(message) is Ping:
            self.send(self._liveness.pinged(message, now))
        elif type(message) is Pong:
            self._liveness.ponged(message, now)
        elif type(message) is Bye:
            self._go_down(
                _I.BYE, f"the peer left: {wire.close_code(message.code).name}"
            )
        else:
            raise RemoteError("audio of the wrong direction")
        self._send_fragments(now)

    def _receive_fragment(self, fragment: Fragment) -> None:
        session = self.sessions.get(fragment.session) or self._offered(fragment)
        if session is not None:
            try:
                session.receive_fragment(fragment)
            finally:
                self._settle(session)

    def _receive_stray(self, message: Any) -> None:
        """Tell a peer that a session has ended: our RESET of it may have been lost."""
        if type(message) not in (Ack, Reset) and self._roster.has_ended(
            message.session
        ):
            self.send(Reset(message.session, CloseCode.NORMAL))

    def _offered(self, fragment: Fragment) -> Session | None:
        """Return the session that the first fragment of an OPEN begins."""
        begins = fragment.seq == 1 and fragment.carried == Carried.OPEN
        known = self._roster.has_ended(fragment.session)
        if self.role is Role.DIALER or known or (fragment.seq == 1 and not begins):
            self.send(Reset(fragment.session, CloseCode.NORMAL))
        elif begins and self._roster.is_full:
            self.send(Reset(fragment.session, CloseCode.REFUSED_CAPACITY))
        elif begins:
            session = Session(
                fragment.session, self.role, self, self._liveness.heard_at
            )
            self._roster.add(session)
            return session
        return None

    # Time

    def _tick(self, now: float) -> None:
        ends = self._ends
        if ends is None:
            return
        if self._liveness.is_dead(now):
            self._go_down(_I.LOST, "the peer is silent")
        elif ends.sealer.is_exhausted:
            self.leave(CloseCode.DRAINING, "the keys of the link are used up")
        else:
            ends.sealer.rotate_if_old(now)
            self.send(self._liveness.ping(now))

    def _send_fragments(self, now: float) -> None:
        for fragment in self.sharing.take(now):
            self.send(fragment)
            self._settle(self.sessions[fragment.session])

    def _settle(self, session: Session) -> None:
        """Let go of a session that has ended; else be woken at its deadline."""
        self.deadline = min(self.deadline, self._roster.settle(session))

    def _rearm(self) -> None:
        if self.state is _S.CLOSED:
            self.deadline = math.inf
        elif self._greeting is not None:
            self.deadline = self._greeting.deadline
        else:
            self.deadline = min(self._liveness.deadline, self._roster.next_deadline())


_FOR_SESSION: Final[Mapping[type, Callable[[Session, Any, float], None]]] = {
    Ack: lambda session, message, now: session.receive_ack(message, now),
    Reset: lambda session, message, now: session.receive_reset(message),
    Nack: lambda session, message, now: session.audio.receive_nack(message, now),
    Last: lambda session, message, now: session.audio.receive_last(message, now),
    Flush: lambda session, message, now: session.receive_flush(message),
    Flushed: lambda session, message, now: session.receive_flushed(message),
}
"""Who takes a message that names a session."""
