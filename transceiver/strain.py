"""Whether this process has more to do than it can, and what is given up for it. Pure.

    NORMAL ──3 s strained──► EASED ──3 s at the limit──► FULL
    NORMAL ◄──5 s at rest──  EASED ◄──5 s relieved─────  FULL

    NORMAL   encoders as they are set
    EASED    encoders at complexity 0: the same words, a little less fine
    FULL     as EASED, and new calls are refused; live ones are not touched

Where the encoders are at complexity 0 as they are set, easing saves nothing, and EASED
is left out:

    NORMAL ──3 s at the limit──► FULL ──5 s relieved──► NORMAL

Once a second it is told two figures of the second that is over: the share of one core
that this process had, since one process runs on one core however many there are, and
how late the loop was at worst, since a callback that is late is a frame that is late.
Where there is less than a core for it (a cgroup's quota, a crowded machine) the share
never rises to its bound; then the loop is late, and that tells as well.

One second alone decides nothing, however long it took: a long garbage collection, a
burst of set-ups (100 offers take 1 to 2 s of CPU), a machine that was put to sleep pass
by. Encoders are eased first; only who is at the limit all the same is full.

Easing lowers the very figures that led to it. So who is eased asks what the load would
be with the encoders as they are set. That tells nothing of lateness, nor where calls
save more than was thought: who comes to rest and is soon strained again waits twice as
long the next time. Neither goes up and down for ever under a load that stays.
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

AT_REST_SHARE: Final = 0.75
"""Of a core, with the encoders as they are set: a tenth of a core below what strains,
so that it does not matter if easing saves somewhat more than was thought."""

LATE_S: Final = 0.05
"""Seconds. More than two frames: callers' jitter buffers begin to grow."""

VERY_LATE_S: Final = 0.1
"""Seconds. Twice that: what jitter buffers take for loss; and more than set-ups one
after the other, which hold the loop for some 10 ms each."""

RISE_SECONDS: Final = 3
"""In a row, to the next level up: longer than any burst that is welcome."""

FALL_SECONDS: Final = 5
"""In a row, to the next level down: longer than up, so that it settles."""

RELAPSE_SECONDS: Final = 60
"""Who is eased again so soon after it came to rest has done so too early."""

LONGEST_FALL_SECONDS: Final = 600
"""In a row, from EASED down, after however many relapses: of a load that stays callers
notice 3 s in ten minutes, and once it has gone a coarser voice for ten minutes."""


class Strain:
    """The level of one process.

    Args:
        saved: Share of the CPU that easing saves; 0: nothing, so that none is eased.

    Attributes:
        level: Since the last second that was told.
        times_eased: How often it went from NORMAL to EASED.
    """

    def __init__(self, saved: float) -> None:
        self.level = Level.NORMAL
        self.times_eased = 0
        self._saved = saved
        self._next = Level.NORMAL
        self._seconds = 0
        self._fell_seconds_ago = RELAPSE_SECONDS
        self._eased_seconds = FALL_SECONDS

    def second(self, second: Second) -> Level:
        """Take what the last second was like, and return the level."""
        towards = self._towards(second)
        self._seconds = self._seconds + 1 if towards is self._next else 1
        self._next = towards
        self._fell_seconds_ago += 1
        if towards > self.level and self._seconds >= RISE_SECONDS:
            if towards is Level.EASED:
                self._ease()
            self.level = towards
        elif towards < self.level and self._seconds >= self._fall_seconds():
            self._fell_seconds_ago = 0
            self.level = towards
        return self.level

    def _towards(self, second: Second) -> Level:
        """Return which level a second speaks for, next to the one that holds."""
        share, late_s = second
        strained = share > STRAINED_SHARE or late_s > LATE_S
        at_limit = share > LIMIT_SHARE or late_s > VERY_LATE_S
        match self.level:
            case Level.NORMAL if self._saved and strained:
                return Level.EASED
            case Level.NORMAL | Level.EASED if at_limit:
                return Level.FULL
            case Level.EASED if (
                self._uneased(share) < AT_REST_SHARE and late_s < LATE_S
            ):
                return Level.NORMAL
            case Level.FULL if share < RELIEVED_SHARE and late_s < LATE_S:
                return Level.EASED if self._saved else Level.NORMAL
            case _:
                return self.level

    def _uneased(self, share: float) -> float:
        """Return what share it would be with the encoders as they are set."""
        return share / (1 - self._saved)

    def _ease(self) -> None:
        """Note that encoders are eased, and whether that is a relapse."""
        self.times_eased += 1
        if self._fell_seconds_ago < RELAPSE_SECONDS:
            longer = 2 * self._eased_seconds
            self._eased_seconds = min(longer, LONGEST_FALL_SECONDS)
        else:
            self._eased_seconds = FALL_SECONDS

    def _fall_seconds(self) -> int:
        return self._eased_seconds if self.level is Level.EASED else FALL_SECONDS
