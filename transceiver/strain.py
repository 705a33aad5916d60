"""Whether this process has more to do than it can, and what is given up for it. Pure.

    NORMAL ──3 s strained──► EASED ──3 s at the limit──► FULL
    NORMAL ◄──5 s at rest──  EASED ◄──5 s relieved─────  FULL

    NORMAL   encoders as they are set
    EASED    encoders at complexity 0: the same words, a little less fine
    FULL     as EASED, and new calls are refused; live ones are not touched

Once a second it is told two figures of the second that is over: the share of one core
that this process had, since one process runs on one core however many there are, and
how late the loop was at worst, since a callback that is late is a frame that is late.
Where there is less than a core for it (a cgroup's quota, a crowded machine) the share
never rises to its bound; then the loop is late, and that tells as well.

One second alone decides nothing, however long it took: a long garbage collection, a
burst of set-ups (100 offers take 1 to 2 s of CPU), a machine that was put to sleep pass
by. Encoders are eased first; only who is at the limit all the same is full.
"""

import enum
from typing import Final, NamedTuple


class Level(enum.IntEnum):
    """How strained the process is; the numbers are those of the gauge."""

    NORMAL = 0
    EASED = 1
    FULL = 2


class Second(NamedTuple):
    """What one second was like.

    Attributes:
        cpu_share: CPU time of this process by elapsed time; 1 is one core.
        late_s: How late the loop was at worst, seconds.
    """

    cpu_share: float
    late_s: float


STRAINED_SHARE: Final = 0.85
"""Of a core. From here on queues grow: work that comes at random waits nearly six times
as long as it takes (M/M/1: 0.85 / (1 - 0.85))."""

LIMIT_SHARE: Final = 0.95
"""Of a core. No other call fits in: its set-up alone costs a hundredth of a second."""

RELIEVED_SHARE: Final = 0.85
"""Of a core. There is room again for a tenth of the calls, not just for one."""

AT_REST_SHARE: Final = 0.45
"""Of a core. Easing itself takes a load of 85 % down to as little as 48 %: of 13.5 ms
of CPU that a call of the quality profile needs a second, encoding is 8.8, and a third
of that at complexity 0. Who took 48 % for rest would go up and down for ever."""

LATE_S: Final = 0.05
"""Seconds. More than two frames: callers' jitter buffers begin to grow."""

VERY_LATE_S: Final = 0.1
"""Seconds. Twice that: what jitter buffers take for loss; and more than set-ups one
after the other, which hold the loop for some 10 ms each."""

RISE_SECONDS: Final = 3
"""In a row, to the next level up: longer than any burst that is welcome."""

FALL_SECONDS: Final = 5
"""In a row, to the next level down: longer than up, so that it settles."""


class Strain:
    """The level of one process.

    Attributes:
        level: Since the last second that was told.
        times_eased: How often it went from NORMAL to EASED.
    """

    def __init__(self) -> None:
        self.level = Level.NORMAL
        self.times_eased = 0
        self._next = Level.NORMAL
        self._seconds = 0

    def second(self, second: Second) -> Level:
        """Take what the last second was like, and return the level."""
        towards = _towards(self.level, second)
        self._seconds = self._seconds + 1 if towards is self._next else 1
        self._next = towards
        if towards > self.level and self._seconds >= RISE_SECONDS:
            self.times_eased += self.level is Level.NORMAL
            self.level = towards
        elif towards < self.level and self._seconds >= FALL_SECONDS:
            self.level = towards
        return self.level


def _towards(level: Level, second: Second) -> Level:
    """Return which level a second speaks for, next to the one that holds."""
    share, late_s = second
    match level:
        case Level.NORMAL if share > STRAINED_SHARE or late_s > LATE_S:
            return Level.EASED
        case Level.EASED if share > LIMIT_SHARE or late_s > VERY_LATE_S:
            return Level.FULL
        case Level.EASED if share < AT_REST_SHARE and late_s < LATE_S:
            return Level.NORMAL
        case Level.FULL if share < RELIEVED_SHARE and late_s < LATE_S:
            return Level.EASED
        case _:
            return level
