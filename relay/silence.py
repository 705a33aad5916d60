"""The clock that notices when callers fall silent, one for all sessions.

Each session is visited every 60 ms while it may owe its upstream silence, whether its
caller speaks or not: so the end of a turn is at most that much later than if silence
came as frames. A visit costs a comparison while frames come. With nothing to make up a
session is not visited, and with none to visit the clock stands still.

Sessions are spread over the 20 ms ticks of a round, so that no tick sends everything.
"""

import asyncio
from collections.abc import Callable

from proto.frames import FRAME_MS
from relay.nobody import nobody
from relay.timeline import Timeline

TICK_S = FRAME_MS / 1000

TICKS_PER_ROUND = 3
"""60 ms: a third of the messages that frames would be."""

LATE_S = 0.05
"""A tick later than this makes nothing up but waits for the next: frames may be in the
socket, unread."""


class Uplink:
    """What one session's upstream is told of time.

    Args:
        clock: Of all sessions.
        append_silence: Tells the upstream so many samples of it.
        on_failed: Given what it raised, when the clock has let go of it for that.
    """

    __slots__ = (
        "_append_silence",
        "_clock",
        "_is_visited",
        "filled_samples",
        "on_failed",
        "timeline",
    )

    def __init__(
        self,
        clock: "SilenceClock",
        append_silence: Callable[[int], None],
        on_failed: Callable[[Exception], None],
    ) -> None:
        self.timeline = Timeline()
        self.filled_samples = 0
        self.on_failed = on_failed
        self._clock = clock
        self._append_silence = append_silence
        self._is_visited = False

    def take(self, position_samples: int, samples: int, now: float) -> None:
        """Fill the gap before a frame that is about to be appended."""
        silence = self.timeline.take(position_samples, samples, now)
        if silence:
            self._fill(silence)
        if not self._is_visited:
            self.watch()

    def speech_started(self) -> None:
        """See to it that what the model takes for speech can end."""
        self.timeline.speech_started()
        self.watch()

    def expect_idleness(self, *, to_be_noticed: bool) -> None:
        """Set whether the model waits for a caller to be idle; see `Timeline`."""
        self.timeline.expect_idleness(to_be_noticed=to_be_noticed)
        self.watch()

    def watch(self) -> None:
        """Have the clock come by, unless there is nothing to make up."""
        if not self._is_visited and not self.timeline.is_at_rest:
            self._is_visited = True
            self._clock.watch(self)

    def pass_time(self, now: float) -> bool:
        """Make up what silence is due; return whether to come again."""
        silence = self.timeline.pass_time(now)
        if silence:
            self._fill(silence)
        self._is_visited = not self.timeline.is_at_rest
        return self._is_visited

    def close(self) -> None:
        """Say nothing more."""
        self._is_visited = True  # or a last frame would have it watched again
        self._clock.forget(self)
        self.on_failed = nobody

    def _fill(self, silence: int) -> None:
        self.filled_samples += silence
        self._append_silence(silence)


class SilenceClock:
    """Visits each session that is watched once in a round of three ticks.

    Args:
        loop: Tells the time and wakes the clock.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._turns: list[dict[Uplink, None]] = [{} for _ in range(TICKS_PER_ROUND)]
        self._turn = 0
        self._due_s = 0.0
        self._has_waited = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def watched_count(self) -> int:
        """Sessions that are visited."""
        return sum(map(len, self._turns))

    def watch(self, uplink: Uplink) -> None:
        """Visit a session from now on."""
        min(self._turns, key=len)[uplink] = None
        if self._timer is None:
            self._arm(self._loop.time() + TICK_S)

    def forget(self, uplink: Uplink) -> None:
        """Visit it no more."""
        for turn in self._turns:
            turn.pop(uplink, None)

    def close(self) -> None:
        """Stop for good."""
        for turn in self._turns:
            turn.clear()
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _arm(self, due_s: float) -> None:
        self._due_s = due_s
        self._timer = self._loop.call_at(due_s, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        self._timer = None
        if not any(self._turns):
            return
        self._has_waited = now - self._due_s > LATE_S and not self._has_waited
        if self._has_waited:
            self._arm(now + TICK_S)
            return
        self._arm(max(self._due_s + TICK_S, now))
        self._turn = (self._turn + 1) % TICKS_PER_ROUND
        turn = self._turns[self._turn]
        for uplink in tuple(turn):
            if not _visit(uplink, now):
                turn.pop(uplink, None)


def _visit(uplink: Uplink, now: float) -> bool:
    """Visit one of many: if it raises, it is let go and the others have theirs."""
    try:
        return uplink.pass_time(now)
    except Exception as error:  # noqa: BLE001  # whose it is logs it
        uplink.on_failed(error)
        return False
