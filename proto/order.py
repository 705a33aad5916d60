"""Order and repair of one session's audio in one direction (PROTOCOL.md 6).

`Order` is the receiving end: a frame in order passes at once; one behind a gap waits
until the gap is filled or given up, and `Order` tells what to ask for again meanwhile.
`History` is the sending end: the last frames, to be sent again. Neither delays a frame
before which nothing is missing.
"""

import math
from typing import Any, Final

from proto.fields import HistoryFields, OrderFields
from proto.messages import MAX_ASKED

DEPTH: Final = MAX_ASKED
"""Frames and gaps held by the receiving end: 1.28 s. Older ones are given up."""

KEPT: Final = 16
"""Frames kept by the sending end: 320 ms, twice as long as any is of use after 80 ms of
round trip. Each session's would else sweep 64 KiB through the processor's caches in
turn, which cost a busy edge 7 % of its CPU (measured)."""

MAX_RESENT: Final = 3
"""Times one frame is sent again: what bounds the answer to any stream of NACKs."""

_MIN_RETRY_S: Final = 0.01
"""Shortest pause before asking again, however near the peer: half a frame, so that the
few times a frame is sent again outlast a short burst of loss."""

_USEFUL: Final = 0.8
"""Part of the smoothed RTT that must be left for an ask (jitter may favour it)."""


class _Gap:
    """A missing frame: when it stops being worth waiting for, when to ask for it."""

    __slots__ = ("ask_at", "asked", "give_up_at", "retry_s")

    def __init__(self, give_up_at: float, ask_at: float, retry_s: float) -> None:
        self.give_up_at = give_up_at
        self.ask_at = ask_at
        self.retry_s = retry_s
        self.asked = 0


class Order(OrderFields):
    """The receiving end: at most `DEPTH` frames and gaps; what is older is given up.

    Uplink frames can all wait equally long; downlink frames are due one after another.
    """

    __slots__ = (
        "_held",
        "_ready",
        "asked",
        "duplicate",
        "given_up",
        "repaired",
    )

    def __init__(self) -> None:
        self._gaps: dict[int, _Gap] = {}
        self.next_seq = 1
        self.given_up = 0
        self.repaired = 0
        self.duplicate = 0
        self.asked = 0
        self._newest = 0
        self._held: dict[int, Any] = {}
        self._ready: list[Any] = []

    def push(self, seq: int) -> bool:
        """Tell whether a frame is the next and nothing is missing: deliver it now."""
        if seq != self.next_seq or self._gaps:
            return False
        self.next_seq = seq + 1
        self._newest = seq
        return True

    def hold(self, seq: int, frame: Any) -> None:
        """Keep a frame that `push` did not take; `expect` its predecessors before."""
        if seq < self.next_seq or seq in self._held:
            self.duplicate += 1
            return
        gap = self._gaps.pop(seq, None)
        if gap is not None and gap.asked:
            self.repaired += 1
        self._held[seq] = frame
        self._newest = max(self._newest, seq)

    def expect(
        self, seq: int, now: float, wait_s: float, step_s: float, rtt_s: float
    ) -> None:
        """Note that all frames up to and including `seq` have been sent.

        Args:
            seq: The newest of them.
            now: Monotonic seconds.
            wait_s: How long `seq` can be waited for; 0 or less: not at all.
            step_s: How much less each one before it can.
            rtt_s: Round-trip time.
        """
        if seq - DEPTH >= self.next_seq:
            self._skip_to(seq - DEPTH + 1)
        for missing in range(max(self._newest + 1, self.next_seq), seq + 1):
            left_s = wait_s - step_s * (seq - missing)
            retry_s = min((left_s - rtt_s) / 2, 1.25 * rtt_s + 0.001)
            retry_s = max(retry_s, _MIN_RETRY_S)
            self._gaps[missing] = _Gap(now + left_s, now, retry_s)
        self._newest = max(self._newest, seq)

    def pull(self, now: float) -> list[Any]:
        """Return what is due in order: frames, and counts of those given up between."""
        self._advance(now)
        ready, self._ready = self._ready, []
        return ready

    def asks(self, now: float, rtt_s: float) -> tuple[int, ...]:
        """Return what to ask for again now, in order."""
        seqs = []
        for seq, gap in self._gaps.items():
            if gap.ask_at > now:
                continue
            if now + _USEFUL * rtt_s >= gap.give_up_at:
                gap.ask_at = math.inf
                continue
            gap.ask_at = now + gap.retry_s
            gap.asked += 1
            seqs.append(seq)
        self.asked += len(seqs)
        return tuple(seqs)

    @property
    def deadline(self) -> float:
        """When to `pull` and ask again."""
        if not self._gaps:
            return math.inf
        first = self._gaps.get(self.next_seq)
        give_up_at = math.inf if first is None else first.give_up_at
        return min(give_up_at, min(gap.ask_at for gap in self._gaps.values()))

    def _advance(self, now: float) -> None:
        while True:
            seq = self.next_seq
            frame = self._held.pop(seq, None)
            if frame is not None:
                self._ready.append(frame)
            else:
                gap = self._gaps.get(seq)
                if gap is None or gap.give_up_at > now:
                    return
                del self._gaps[seq]
                self._lose(1)
            self.next_seq = seq + 1

    def _skip_to(self, floor: int) -> None:
        """Give up everything missing below `floor`."""
        for seq in sorted(seq for seq in self._held if seq < floor):
            self._lose(seq - self.next_seq)
            self._ready.append(self._held.pop(seq))
            self.next_seq = seq + 1
        self._lose(floor - self.next_seq)
        self.next_seq = floor
        self._gaps = {seq: gap for seq, gap in self._gaps.items() if seq >= floor}

    def _lose(self, count: int) -> None:
        if not count:
            return
        self.given_up += count
        if self._ready and type(self._ready[-1]) is int:
            self._ready[-1] += count
        else:
            self._ready.append(count)


class History(HistoryFields):
    """The sending end: the last `KEPT` frames; a new one takes the oldest's place."""

    __slots__ = ()

    def __init__(self) -> None:
        self.seq = 0
        self._frames = [(-1, 0.0, None, 0)] * KEPT
        """Number, when it was first sent, the frame, how often it was sent again."""

    def put(self, frame: Any, now: float) -> int:
        """Keep a frame about to be sent; return its sequence number."""
        seq = self.seq = self.seq + 1
        self._frames[seq % KEPT] = (seq, now, frame, 0)
        return seq

    def last(self) -> Any:
        """Return the newest frame; there must be one."""
        return self._frames[self.seq % KEPT][2]

    def again(self, seq: int) -> tuple[float, Any] | None:
        """Return when a frame was first sent, and it, if it may be sent again."""
        kept_seq, sent_at, frame, times = self._frames[seq % KEPT]
        if kept_seq != seq or times >= MAX_RESENT:
            return None
        self._frames[seq % KEPT] = (seq, sent_at, frame, times + 1)
        return sent_at, frame
