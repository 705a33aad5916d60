"""Audio, both ways: section 6 of PROTOCOL.md."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.second.layout import DOWN

DEPTH = 64  # numbers held
KEPT = 16  # frames of history
SENDS_AGAIN = 3
FLOOR_ASK_S = 0.010
TAIL_S, TAIL_AGAIN_S = 0.030, 0.020
NEVER = float("inf")


@dataclass(slots=True)
class Rtt:
    """RFC 6298 over PONGs, in seconds."""

    smooth: float | None = None
    variation: float = 0.0

    def sample(self, rtt: float) -> None:
        """Take one measurement."""
        if self.smooth is None:
            self.smooth, self.variation = rtt, rtt / 2
        else:
            self.variation += (abs(self.smooth - rtt) - self.variation) / 4
            self.smooth += (rtt - self.smooth) / 8

    @property
    def timeout(self) -> float:
        """The retransmission timeout."""
        if self.smooth is None:
            return 0.300
        return min(max(self.smooth + 4 * self.variation, 0.050), 2.0)

    @property
    def wait(self) -> float:
        """How long a missing uplink frame is waited for."""
        if self.smooth is None:
            return 0.120
        return min(max(1.5 * self.smooth + 4 * self.variation, 0.030), 0.120)

    @property
    def pause(self) -> float:
        """Between two asks for one frame."""
        rtt = self.smooth or 0.0
        return max(min((self.wait - rtt) / 2, 1.25 * rtt + 0.001), FLOOR_ASK_S)


@dataclass(slots=True)
class _Missing:
    given_up_at: float
    ask_at: float
    pause: float


@dataclass(slots=True)
class Uplink:
    """Puts the caller's frames in order; holds at most 64 numbers."""

    rtt: Rtt
    next_seq: int = 1
    _held: dict[int, Any] = field(default_factory=dict)
    _missing: dict[int, _Missing] = field(default_factory=dict)

    def frame(self, seq: int, frame: Any, now: float) -> list[Any]:
        """Take a frame; return frames in order, and counts of those given up."""
        if seq < self.next_seq or seq in self._held:
            return []
        out = self.shown(seq - 1, now)
        self._missing.pop(seq, None)
        self._held[seq] = frame
        return out + self._hand_over()

    def shown(self, newest: int, now: float) -> list[Any]:
        """Note that frames up to `newest` exist; wait for the last 64 of them."""
        out = self._hand_over(newest - DEPTH + 1)
        for seq in range(self.next_seq, newest + 1):
            if seq not in self._held and seq not in self._missing:
                self._missing[seq] = _Missing(now + self.rtt.wait, now, self.rtt.pause)
        return out

    def asks(self, now: float) -> list[int]:
        """Return what to ask for now."""
        due = [seq for seq, gap in self._missing.items() if gap.ask_at <= now]
        useful = now + 0.8 * (self.rtt.smooth or 0.0)
        for seq in due:
            gap = self._missing[seq]
            gap.ask_at = now + gap.pause if useful < gap.given_up_at else NEVER
        return [seq for seq in due if self._missing[seq].ask_at < NEVER]

    def give_up(self, now: float) -> list[Any]:
        """Give up what is due."""
        out: list[Any] = []
        while (gap := self._missing.get(self.next_seq)) and gap.given_up_at <= now:
            given_up, *frames = self._hand_over(self.next_seq + 1)
            if out and isinstance(out[-1], int):
                given_up += out.pop()
            out += [given_up, *frames]
        return out

    @property
    def deadline(self) -> float:
        """When to ask or to give up."""
        first = self._missing.get(self.next_seq)
        give_up_at = first.given_up_at if first is not None else NEVER
        return min([give_up_at, *(gap.ask_at for gap in self._missing.values())])

    def _hand_over(self, first: int = 0) -> list[Any]:
        out: list[Any] = []
        lost = 0
        for seq in sorted(self._held):
            reach = min(seq, max(first, self.next_seq))
            lost, self.next_seq = lost + reach - self.next_seq, reach
            if seq > reach:
                break
            out += [lost, self._held.pop(seq)] if lost else [self._held.pop(seq)]
            lost, self.next_seq = 0, seq + 1
        lost += max(first - self.next_seq, 0)
        self.next_seq = max(first, self.next_seq)
        for seq in [seq for seq in self._missing if seq < self.next_seq]:
            del self._missing[seq]
        return [*out, lost] if lost else out


@dataclass(slots=True)
class _Sent:
    elements: tuple[Any, ...]
    due: float
    again: int = 0


@dataclass(slots=True)
class Downlink:
    """Numbers the frames for the caller, and has the last 16 at hand."""

    session: int
    newest: int = 0
    tail_at: float = NEVER
    _tails: int = 0
    _sent: dict[int, _Sent] = field(default_factory=dict)

    def frame(
        self, talkspurt: int, position: int, lead_ms: int, pcm: bytes, now: float
    ) -> tuple[Any, ...]:
        """Return a new frame's message."""
        self.newest += 1
        sent = _Sent((talkspurt, position, pcm), now + lead_ms / 1000)
        self._sent[self.newest] = sent
        self._sent.pop(self.newest - KEPT, None)
        self.tail_at, self._tails = now + TAIL_S, 0
        return self._message(self.newest, sent, now)

    def again(self, seqs: Iterable[int], now: float) -> list[tuple[Any, ...]]:
        """Return the messages that a NACK asks for."""
        out = []
        for seq in seqs:
            sent = self._sent.get(seq)
            if sent is not None and sent.again < SENDS_AGAIN:
                sent.again += 1
                out.append(self._message(seq, sent, now))
        return out

    def tail(self, now: float) -> tuple[int, int]:
        """Return number and lead left of the newest frame, for LAST."""
        self._tails += 1
        self.tail_at = now + TAIL_AGAIN_S if self._tails < 2 else NEVER
        return self.newest, _left_ms(self._sent[self.newest], now)

    def _message(self, seq: int, sent: _Sent, now: float) -> tuple[Any, ...]:
        talkspurt, position, pcm = sent.elements
        lead = _left_ms(sent, now)
        return DOWN, self.session, seq, talkspurt, position, lead, pcm


def _left_ms(sent: _Sent, now: float) -> int:
    return max(0, round((sent.due - now) * 1000))
