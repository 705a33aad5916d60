"""One link of the listener: its keys, its sessions, its life (7.3, 7.4, 9)."""

from collections import deque
from typing import Any

from tests.second import layout
from tests.second.happenings import Down, Happening, Up
from tests.second.keys import Agreed, Opener, Sealer
from tests.second.layout import (
    DRAINING,
    LINK_LOST,
    NORMAL,
    OPEN,
    REFUSED_CAPACITY,
)
from tests.second.session import Session, State
from tests.second.sound import NEVER, Rtt

PING_S, DEAD_S, LATE_S, GRACE_S = 0.100, 0.700, 0.100, 0.200
SESSIONS = ENDED = 1024
WINDOW_LEAST, WINDOW_FIRST, WINDOW_MOST = 16, 32, 1024
PINGS = 64  # sent and not answered: more than are sent in the 700 ms


class Link:
    """Everything from a sealed datagram to a happening, and back."""

    def __init__(self, agreed: Agreed, address: Any, now: float) -> None:
        self.own_id, self.address = agreed.own_id, address
        self.alive = True
        self.sessions: dict[int, Session] = {}
        self.out: deque[bytes] = deque()  # drained by the owner after each call
        self.happenings: deque[Happening] = deque([Up(agreed.own_id)])
        self.sealer = Sealer(agreed.down, agreed.peer_id, now)
        self.refused = 0
        self.rtt = Rtt()
        self.opener = Opener(agreed.up)
        self._over: deque[int] = deque(maxlen=ENDED)
        self._pings: dict[int, float] = {}
        self._ping, self._ping_at, self._dead_at = 0, now, now + DEAD_S
        self._window, self._slow_start, self._calm_at = float(WINDOW_FIRST), True, now
        self._now = now
        self.tick(now)

    def receive(self, datagram: bytes, address: Any, now: float) -> None:
        """Take a sealed datagram that names this link."""
        plaintext = self.opener.open(datagram)
        if plaintext is None:
            return
        self._now = now
        self._dead_at = now + DEAD_S
        if layout.HEADER.unpack_from(datagram)[4] == self.opener.newest:
            self.address = address
        message = layout.message(plaintext)
        if message is None:
            self.refused += 1
            return
        self._message(message, now)
        self._after(now)

    @property
    def deadline(self) -> float:
        """When to call `tick`."""
        own = min(self._ping_at, self._dead_at)
        return min([own, *(session.deadline for session in self.sessions.values())])

    def tick(self, now: float) -> None:
        """Do what is due."""
        if now - self.deadline > LATE_S:
            self._dead_at = max(self._dead_at, now + GRACE_S)
        self._now = now
        if now >= self._dead_at:
            self._gone(LINK_LOST)
            return
        if now >= self._ping_at:
            self._ping += 1
            self._ping_at = now + PING_S
            self._pings[self._ping] = now
            self._pings.pop(self._ping - PINGS, None)
            self.say(layout.PING, self._ping, int(now * 1e6))
        for session in list(self.sessions.values()):
            session.tick(now)
            if session.outgoing.timed_out(now):
                self._lost(now)
        self._after(now)

    def leave(self, code: int, now: float) -> None:
        """End the link."""
        self._now = now
        self.say(layout.BYE, code)
        self._gone(LINK_LOST)

    def sleep(self) -> None:
        """Let nothing be due any more."""
        self._ping_at = self._dead_at = NEVER

    def pump(self, now: float) -> None:
        """Send fragments, each session in turn, as far as the window goes."""
        on_the_way = sum(s.outgoing.on_the_way for s in self.sessions.values())
        progress = True
        while progress:
            progress = False
            for session in self.sessions.values():
                out = session.outgoing
                if out.ready() and (
                    on_the_way < int(self._window) or not out.on_the_way
                ):
                    self._now = now
                    self.say(*out.send(now))
                    on_the_way += 1
                    progress = True

    def say(self, *message: Any) -> None:
        """Seal one message."""
        self.out.append(self.sealer.seal(layout.pack(*message), self._now))

    def _message(self, message: list[Any], now: float) -> None:
        kind, rest = message[0], message[1:]
        if kind == layout.PING:
            self.say(layout.PONG, rest[0])
        elif kind == layout.PONG:
            sent = self._pings.pop(rest[0], None)
            if sent is not None:
                self.rtt.sample(now - sent)
        elif kind == layout.BYE:
            self._gone(layout.known(rest[0]))
        elif kind == layout.FRAGMENT:
            self._fragment(rest, now)
        else:
            self._of_session(kind, rest, now)

    def _of_session(self, kind: int, rest: list[Any], now: float) -> None:
        session = self.sessions.get(rest[0])
        if session is None:
            if kind not in (layout.ACK, layout.RESET) and rest[0] in self._over:
                self.say(layout.RESET, rest[0], NORMAL)
            return
        if kind == layout.ACK:
            _, next_seq, limit, pairs = rest
            news, lost = session.outgoing.acknowledged(next_seq, limit, pairs, now)
            self._grow(news)
            if lost:
                self._lost(now)
            session.settled()
        elif kind == layout.RESET:
            session.end(layout.known(rest[1]))
        else:
            session.heard(kind, rest[1:], now)

    def _fragment(self, rest: list[Any], now: float) -> None:
        number, seq, carried, is_last, data = rest
        if number not in self.sessions:
            if number in self._over or (seq == 1 and carried != OPEN):
                self.say(layout.RESET, number, NORMAL)
                return
            if seq != 1:
                return
            if len(self.sessions) >= SESSIONS:
                self.say(layout.RESET, number, REFUSED_CAPACITY)
                return
            self.sessions[number] = Session(
                number, self.rtt, self.say, self.happenings.append, now
            )
        self.sessions[number].fragment(seq, carried, is_last, data, now)

    def _after(self, now: float) -> None:
        over = [n for n, s in self.sessions.items() if s.state is State.CLOSED]
        for number in over:
            del self.sessions[number]
            self._over.append(number)
        if self.alive and self.sealer.worn_out:
            self.leave(DRAINING, now)
        self.pump(now)

    def _gone(self, code: int) -> None:
        self.alive = False
        for session in self.sessions.values():
            if session.state is not State.CLOSED:
                session.end(LINK_LOST)
        self.sessions.clear()
        self.happenings.append(Down(self.own_id, code))

    def _grow(self, news: int) -> None:
        step = news if self._slow_start else news / self._window
        self._window = min(self._window + step, WINDOW_MOST)

    def _lost(self, now: float) -> None:
        self._slow_start = False
        if now >= self._calm_at:
            self._window = max(0.7 * self._window, WINDOW_LEAST)
            self._calm_at = now + (self.rtt.smooth or 0.3)
