"""One session at the listener: sections 5 (its states), 6, 7 and 8."""

from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from tests.second import layout
from tests.second.happenings import (
    Ended,
    Frame,
    Happening,
    Missed,
    Offered,
    Silent,
    Told,
)
from tests.second.layout import CLOSE, EVENT, NORMAL, OPEN, OPENED, PROTOCOL, TIMEOUT
from tests.second.pieces import BrokenError, Incoming, Outgoing
from tests.second.sound import NEVER, Downlink, Rtt, Uplink

AWAITED_S, CLOSING_S = 15.0, 5.0
FLUSH_AGAIN_S = 0.030


class State(Enum):
    """The rows of section 5 that a listener can be in."""

    AWAITED = auto()
    OFFERED = auto()
    OPEN = auto()
    CLOSING = auto()
    CLOSED = auto()


class Sign(Enum):
    """The columns."""

    OPEN = auto()
    ACCEPT = auto()
    CLOSE = auto()
    OPENED = auto()
    CLOSED = auto()  # CLOSE arrives
    ENDED = auto()  # RESET arrives, link lost, timeout
    SETTLED = auto()  # CLOSE acknowledged


TABLE = {
    (State.AWAITED, Sign.OPEN): State.OFFERED,
    (State.OFFERED, Sign.ACCEPT): State.OPEN,
    (State.OFFERED, Sign.CLOSE): State.CLOSING,
    (State.OFFERED, Sign.CLOSED): State.CLOSED,
    (State.OPEN, Sign.CLOSE): State.CLOSING,
    (State.OPEN, Sign.CLOSED): State.CLOSED,
    (State.CLOSING, Sign.CLOSE): State.CLOSING,
    (State.CLOSING, Sign.OPENED): State.CLOSING,
    (State.CLOSING, Sign.CLOSED): State.CLOSED,
    (State.CLOSING, Sign.SETTLED): State.CLOSED,
} | {(state, Sign.ENDED): State.CLOSED for state in State if state is not State.CLOSED}


class Session:
    """What the owner calls: accept, close, tell, play, flush."""

    def __init__(
        self,
        number: int,
        rtt: Rtt,
        say: Callable[..., None],
        tell: Callable[[Happening], None],
        now: float,
    ) -> None:
        self.number, self._rtt, self._say, self._tell = number, rtt, say, tell
        self.state = State.AWAITED
        self._expires_at = now + AWAITED_S
        self.incoming, self.outgoing = Incoming(), Outgoing(number, rtt)
        self.uplink, self.downlink = Uplink(rtt), Downlink(number)
        self._closed_with = NORMAL, ""
        self._flush, self._flush_talkspurt = 0, 0
        self._flush_at, self._flush_pause = NEVER, 0.0

    # --- the owner ---

    def accept(self, now: float) -> None:
        """Take what was offered."""
        self._move(Sign.ACCEPT)
        self.outgoing.put(OPENED, bytes((layout.PCM,)), now)

    def close(self, code: int, reason: str, now: float) -> None:
        """End it, or refuse what was offered, after all that was told."""
        repeated = self.state is State.CLOSING
        self._move(Sign.CLOSE)
        if not repeated:
            self._closed_with = code, reason
            self.outgoing.put(CLOSE, layout.pack(code, reason), now)
            self._expires_at = now + CLOSING_S

    def tell(self, payload: bytes, now: float) -> None:
        """Send an event."""
        self._only_open()
        self.outgoing.put(EVENT, payload, now)

    def play(
        self, talkspurt: int, position: int, lead_ms: int, pcm: bytes, now: float
    ) -> None:
        """Send a frame that the caller is to hear `lead_ms` from now."""
        self._only_open()
        self._say(*self.downlink.frame(talkspurt, position, lead_ms, pcm, now))

    def flush(self, talkspurt: int, now: float) -> None:
        """Silence what was played up to this talkspurt."""
        self._only_open()
        self._flush, self._flush_talkspurt = self._flush + 1, talkspurt
        self._flush_at, self._flush_pause = now, FLUSH_AGAIN_S
        self.tick(now)

    # --- the link ---

    def fragment(
        self, seq: int, carried: int, is_last: bool, data: bytes, now: float
    ) -> None:
        """Take a FRAGMENT and answer it."""
        try:
            whole = self.incoming.fragment(seq, carried, is_last, data)
        except BrokenError:
            self.end(PROTOCOL, reset=True)
            return
        self._say(layout.ACK, self.number, *self.incoming.acknowledgement())
        for message in whole:
            if self.state is not State.CLOSED:
                self._message(*message, now)

    def heard(self, kind: int, rest: list[Any], now: float) -> None:
        """Take UP, LAST, NACK or FLUSHED; nothing unless OPEN."""
        if self.state is not State.OPEN:
            return
        if kind == layout.UP:
            self._hand_over(self.uplink.frame(rest[0], Frame(self.number, *rest), now))
        elif kind == layout.LAST:
            self._hand_over(self.uplink.shown(rest[0], now))
        elif kind == layout.NACK:
            for message in self.downlink.again(rest[0], now):
                self._say(*message)
        elif rest[0] == self._flush and self._flush_at != NEVER:
            self._flush_at = NEVER
            self._tell(Silent(self.number, rest[1], rest[2]))
        self._ask(now)

    def settled(self) -> None:
        """Look whether the CLOSE is acknowledged."""
        if self.state is State.CLOSING and self.outgoing.done:
            self._move(Sign.SETTLED)
            self._tell(Ended(self.number, *self._closed_with))

    def end(self, code: int, *, reset: bool = False) -> None:
        """End at once; with a RESET if the peer should know."""
        if reset:
            self._say(layout.RESET, self.number, code)
        ended = self._closed_with if self.state is State.CLOSING else (code, "")
        self._move(Sign.ENDED)
        self._tell(Ended(self.number, *ended))

    @property
    def deadline(self) -> float:
        """When to call `tick`; the owner of the window sees to retransmission."""
        times = [self.outgoing.deadline]
        if self.state in (State.AWAITED, State.CLOSING):
            times.append(self._expires_at)
        if self.state is State.OPEN:
            times += [self.uplink.deadline, self.downlink.tail_at, self._flush_at]
        return min(times)

    def tick(self, now: float) -> None:
        """Do what is due, but for lost fragments."""
        expiring = self.state in (State.AWAITED, State.CLOSING)
        if expiring and now >= self._expires_at:
            self.end(TIMEOUT)
        elif now >= self.outgoing.stuck_at:
            self.end(TIMEOUT, reset=True)
        if self.state is not State.OPEN:
            return
        self._hand_over(self.uplink.give_up(now))
        self._ask(now)
        if now >= self.downlink.tail_at:
            self._say(layout.LAST, self.number, *self.downlink.tail(now))
        if now >= self._flush_at:
            self._say(layout.FLUSH, self.number, self._flush, self._flush_talkspurt)
            self._flush_at = now + self._flush_pause
            self._flush_pause = min(2 * self._flush_pause, self._rtt.timeout)

    def _message(self, carried: int, payload: bytes, now: float) -> None:
        if carried == EVENT and self.state is not State.AWAITED:
            if self.state in (State.OFFERED, State.OPEN):
                self._tell(Told(self.number, payload))
            return
        closing = layout.closing(payload) if carried == CLOSE else None
        sign = {OPEN: Sign.OPEN, OPENED: Sign.OPENED, CLOSE: Sign.CLOSED}.get(carried)
        offer = layout.offer(payload) if carried == OPEN else None
        misshapen = (carried == OPEN and not offer) or (
            carried == CLOSE and not closing
        )
        if sign is None or (self.state, sign) not in TABLE or misshapen:
            self.end(PROTOCOL, reset=True)
            return
        self._move(sign)
        if offer is not None:
            self._tell(Offered(self.number, offer[1]))
        elif closing is not None:
            self._tell(Ended(self.number, *closing))

    def _ask(self, now: float) -> None:
        asked = self.uplink.asks(now)
        if asked:
            self._say(layout.NACK, self.number, asked)

    def _hand_over(self, items: list[Any]) -> None:
        for item in items:
            self._tell(Missed(self.number, item) if isinstance(item, int) else item)

    def _only_open(self) -> None:
        if self.state is not State.OPEN:
            raise ValueError(self.state)

    def _move(self, sign: Sign) -> None:
        self.state = TABLE[self.state, sign]
