"""One session at one end of a link (PROTOCOL.md 5): its life, messages, audio, flush.

    state     OFFER    ACCEPT  CLOSE    OPENED   PEER_CLOSE  RESET   LOST    DONE
    AWAITED   OFFERED  -       -        -        -           CLOSED  CLOSED  -
    OFFERED   -        OPEN    CLOSING  -        CLOSED      CLOSED  CLOSED  -
    OPENING   -        -       CLOSING  OPEN     CLOSED      CLOSED  CLOSED  -
    OPEN      -        -       CLOSING  -        CLOSED      CLOSED  CLOSED  -
    CLOSING   -        -       CLOSING  CLOSING  CLOSED      CLOSED  CLOSED  CLOSED
    CLOSED    -        -       CLOSED   -        -           -       -       -

A listener's session begins in AWAITED (its OPEN is incomplete), a dialer's in OPENING.
ACCEPT and CLOSE come from this end, the others from the wire or the clock: LOST is the
end of the link or a timeout, DONE that the peer has acknowledged our CLOSE. A pair
without a successor is the fault of who caused it.
"""

import enum
import math
from collections.abc import Mapping
from typing import Final

from proto import wire
from proto.audio import Audio
from proto.errors import CloseCode, LocalError, NotConnected, RemoteError
from proto.events import Closed, EventReceived, Offered, Opened
from proto.fields import SessionFields
from proto.flush import Answering, Asking
from proto.messages import (
    MAX_MESSAGE_BYTES,
    MAX_REQUEST_BYTES,
    Ack,
    Carried,
    Flush,
    Flushed,
    Fragment,
    Reset,
)
from proto.payload import Payload, decode_open, decode_opened, encode_open
from proto.port import Port, Role
from proto.stream import Inbox, Outbox

OPEN_TIMEOUT_S: Final = 15.0
"""How long an OPEN may go unanswered or incomplete (an upstream handshake fits)."""

LINGER_S: Final = 5.0
"""How long a CLOSE is sent again before the session is forgotten all the same."""


class SessionState(enum.Enum):
    """Rows of the table above."""

    AWAITED = enum.auto()
    OFFERED = enum.auto()
    OPENING = enum.auto()
    OPEN = enum.auto()
    CLOSING = enum.auto()
    CLOSED = enum.auto()


class SessionInput(enum.Enum):
    """Columns of the table above."""

    OFFER = enum.auto()
    ACCEPT = enum.auto()
    CLOSE = enum.auto()
    OPENED = enum.auto()
    PEER_CLOSE = enum.auto()
    RESET = enum.auto()
    LOST = enum.auto()
    DONE = enum.auto()


_S, _I = SessionState, SessionInput
_CUT = {_I.RESET: _S.CLOSED, _I.LOST: _S.CLOSED}
_ENDINGS = {_I.PEER_CLOSE: _S.CLOSED, **_CUT}

SUCCESSORS: Final[Mapping[SessionState, Mapping[SessionInput, SessionState]]] = {
    _S.AWAITED: {_I.OFFER: _S.OFFERED, **_CUT},
    _S.OFFERED: {_I.ACCEPT: _S.OPEN, _I.CLOSE: _S.CLOSING, **_ENDINGS},
    _S.OPENING: {_I.OPENED: _S.OPEN, _I.CLOSE: _S.CLOSING, **_ENDINGS},
    _S.OPEN: {_I.CLOSE: _S.CLOSING, **_ENDINGS},
    _S.CLOSING: {
        _I.OPENED: _S.CLOSING,
        _I.CLOSE: _S.CLOSING,
        _I.DONE: _S.CLOSED,
        **_ENDINGS,
    },
    _S.CLOSED: {_I.CLOSE: _S.CLOSED},
}

_UNKNOWN_TO_OWNER: Final = frozenset({_S.AWAITED, _S.CLOSING})
"""States whose end is no event: not offered yet, or closed by the owner itself."""


class Session(SessionFields):
    """One end of one session.

    Audio goes through `audio`. After every other call the link must look at `deadline`
    anew and send what its `sharing` has ready.

    Args:
        session: The id, chosen by the dialer.
        role: Which end this is.
        port: The link.
        now: Monotonic seconds.
    """

    def __init__(self, session: int, role: Role, port: Port, now: float) -> None:
        self.id = session
        self.state = _S.OPENING if role is Role.DIALER else _S.AWAITED
        self.audio: Audio = Audio(session, role, port)
        self.offered: tuple[Payload, ...] = ()
        self.payload = Payload.PCM
        self._role = role
        self._port = port
        self._outbox = Outbox(session)
        self._inbox = Inbox(session)
        self._asking = Asking(session, port)
        self._answering = Answering(session, port)
        self._ends_at = now + OPEN_TIMEOUT_S

    def request(self, request: bytes, payloads: tuple[Payload, ...] = ()) -> None:
        """Dialer: ask the peer for this session.

        Args:
            request: Opaque.
            payloads: What its audio may be carried as, in order of preference.

        Raises:
            LocalError: The request is too long.
        """
        message = encode_open(payloads, request)
        if len(message) > MAX_REQUEST_BYTES:
            raise LocalError(f"request of {len(request)} bytes")
        self.offered = payloads
        self._put(Carried.OPEN, message)

    def accept(self, payload: Payload = Payload.PCM) -> None:
        """Listener: take the session that was offered, with one of its payloads.

        Raises:
            LocalError: The session, or the payload, is not on offer.
        """
        if payload not in (*self.offered, Payload.PCM):
            raise LocalError(f"session {self.id}: {payload.name} is not on offer")
        self._step(_I.ACCEPT, LocalError)
        self._carry(payload)
        self._put(Carried.OPENED, bytes((payload,)))

    def close(self, code: CloseCode, reason: str, now: float) -> None:
        """End the session after what was sent before; no event follows."""
        was = self.state
        self._step(_I.CLOSE, LocalError)
        if was in (_S.CLOSING, _S.CLOSED):
            return
        self._asking.stop()
        self._ends_at = now + LINGER_S
        self._put(Carried.CLOSE, wire.encode_close(code, reason))

    def send_event(self, payload: bytes) -> None:
        """Queue an event.

        Raises:
            NotConnected: The session is not open, nor being opened by us.
            Backlogged: The queue is at its bound.
            LocalError: The event is too long.
        """
        if self.state not in (_S.OPENING, _S.OPEN):
            raise NotConnected(f"session {self.id} is {self.state.name}")
        if len(payload) > MAX_MESSAGE_BYTES:
            raise LocalError(f"event of {len(payload)} bytes")
        self._outbox.check_room(len(payload))
        self._put(Carried.EVENT, payload)

    def flush(self, talkspurt: int, now: float) -> None:
        """Listener: have the caller's end drop audio up to this talkspurt.

        Raises:
            NotConnected: The session is not open.
        """
        if self.state is not _S.OPEN:
            raise NotConnected(f"session {self.id} is {self.state.name}")
        self._asking.ask(talkspurt, now)

    def flushed(self, talkspurt: int, heard_samples: int) -> None:
        """Dialer: answer the newest flush; nothing happens when not open."""
        if self.state is _S.OPEN:
            self._answering.answer(talkspurt, heard_samples)

    def receive_fragment(self, fragment: Fragment) -> None:
        """Take a piece of a message and acknowledge it.

        Raises:
            RemoteError: The peer broke the rules; the session has been reset.
        """
        try:
            messages = self._inbox.receive(fragment)
            self._port.send(self._inbox.ack())
            for carried, payload in messages:
                self._receive_message(carried, payload)
        except RemoteError:
            self.fail(CloseCode.PROTOCOL, "the peer broke the protocol")
            raise

    def receive_ack(self, ack: Ack, now: float) -> None:
        """Learn which fragments arrived.

        Raises:
            RemoteError: They were never sent.
        """
        progress = self._outbox.acknowledge(ack, now)
        sharing, rtt = self._port.sharing, self._port.rtt
        sharing.acknowledged(progress.acknowledged)
        sharing.lost(progress.lost, now, rtt.rto_s)
        sharing.offer(self._outbox)
        if self.state is _S.CLOSING and self._outbox.is_empty:
            self._end(_I.DONE, CloseCode.NORMAL, "")

    def receive_reset(self, message: Reset) -> None:
        """Learn that the peer has no such session (any more)."""
        self._end(_I.RESET, wire.close_code(message.code), "reset by the peer")

    def receive_flush(self, message: Flush) -> None:
        """Take the relay's wish to empty the caller's playout.

        Raises:
            RemoteError: This end is no dialer's.
        """
        if self._role is not Role.DIALER:
            raise RemoteError("flush from a dialer")
        if self.state is _S.OPEN:
            self._answering.receive(message)

    def receive_flushed(self, message: Flushed) -> None:
        """Take the answer to a flush."""
        if self.state is _S.OPEN:
            self._asking.receive(message)

    @property
    def deadline(self) -> float:
        """When `handle_timeout` is due."""
        return min(
            self._ends_at,
            self._asking.deadline,
            self.audio.deadline,
            self._outbox.timeout_at(self._port.rtt.rto_s),
        )

    def handle_timeout(self, now: float) -> None:
        """Do what is due."""
        if now >= self._ends_at:
            how = _I.DONE if self.state is _S.CLOSING else _I.LOST
            self._end(how, CloseCode.TIMEOUT, "not answered in time")
            return
        if self.audio.is_open:
            self.audio.deliver(now)
        self._asking.handle_timeout(now)
        rto_s = self._port.rtt.rto_s
        lost = self._outbox.expire(now, rto_s)
        self._port.sharing.lost(lost, now, rto_s)
        self._port.sharing.offer(self._outbox)
        if self._outbox.is_stuck(now):
            self.fail(CloseCode.TIMEOUT, "messages are not acknowledged")

    def fail(self, code: CloseCode, reason: str) -> None:
        """End the session at once, at both ends."""
        if self.state is not _S.CLOSED:
            self._port.send(Reset(self.id, code))
            self._end(_I.LOST, code, reason)

    def link_lost(self, reason: str) -> None:
        """End with the link."""
        self._end(_I.LOST, CloseCode.LINK_LOST, reason)

    def _receive_message(self, carried: int, payload: bytes) -> None:
        is_dialer = self._role is Role.DIALER
        if carried == Carried.OPEN and not is_dialer:
            offered, request = decode_open(payload)
            self._step(_I.OFFER, RemoteError)
            self.offered = offered
            self._ends_at = math.inf
            self._port.emit(Offered(self.id, request, self.offered))
        elif carried == Carried.OPENED and is_dialer:
            chosen = decode_opened(payload, self.offered)
            self._step(_I.OPENED, RemoteError)
            self._carry(chosen)
            if self.state is _S.OPEN:
                self._ends_at = math.inf
                self._port.emit(Opened(self.id, self.payload))
        elif carried == Carried.EVENT and self.state is not _S.AWAITED:
            if self.state not in (_S.CLOSING, _S.CLOSED):
                self._port.emit(EventReceived(self.id, payload))
        elif carried == Carried.CLOSE:
            code, reason = wire.decode_close(payload)
            self._end(_I.PEER_CLOSE, code, reason)
        else:
            raise RemoteError("message out of place")

    def _carry(self, payload: Payload) -> None:
        self.payload = payload
        self.audio.carry(payload)

    def _put(self, carried: Carried, payload: bytes) -> None:
        self._outbox.put(carried, payload)
        self._port.sharing.offer(self._outbox)

    def _end(self, how: SessionInput, code: CloseCode, reason: str) -> None:
        was = self.state
        self._step(how, RemoteError)
        self._ends_at = math.inf
        self._asking.stop()
        self._port.sharing.withdraw(self._outbox)
        self._outbox = Outbox(self.id)
        if was not in _UNKNOWN_TO_OWNER:
            self._port.emit(Closed(self.id, code, reason))

    def _step(
        self, how: SessionInput, fault: type[LocalError] | type[RemoteError]
    ) -> None:
        successor = SUCCESSORS[self.state].get(how)
        if successor is None:
            raise fault(f"session {self.id}: {how.name} while {self.state.name}")
        self.state = successor
        self.audio.is_open = successor is _S.OPEN
