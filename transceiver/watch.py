"""The shell of `strain`: reads the clocks, and tells whoever has to act on a change.

Whether the process ran at all is told as well: who did not for as long as links last in
silence has links that are dead, and does not know it yet.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from proto.liveness import DEAD_AFTER_S
from transceiver.strain import Level, Second, Strain

log = logging.getLogger(__name__)

STEP_S: Final = 0.05
"""As long as the least lateness that counts. Twenty wake-ups of a process that does
nothing else cost two thousandths of a core (measured); of a busy one, less."""

SECOND_S: Final = 1.0
"""How long is looked at as one; longer by as much as the loop is late."""


class Watch:
    """Measures a process each second.

    Args:
        strain: Judges what is measured.
        changed: Gets each new level.
        measured: Gets each second.
        slept: Called when the process has not run for `DEAD_AFTER_S`, once it does.
        cpu_s: Tells the CPU time of the process so far, in seconds.
    """

    def __init__(
        self,
        strain: Strain,
        changed: Callable[[Level], None],
        measured: Callable[[Second], None],
        slept: Callable[[], None],
        cpu_s: Callable[[], float] = time.process_time,
    ) -> None:
        self.strain = strain
        self._changed = changed
        self._measured = measured
        self._slept = slept
        self._cpu_s = cpu_s

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        now, used_s = loop.time(), self._cpu_s()
        while True:
            then, used_then_s = now, used_s
            late_s = await self._worst_until(then + SECOND_S, loop)
            now, used_s = loop.time(), self._cpu_s()
            self._take(Second((used_s - used_then_s) / (now - then), late_s))

    async def _worst_until(self, end: float, loop: asyncio.AbstractEventLoop) -> float:
        """Sleep by steps until `end`; return how late the worst wake-up was."""
        worst_s = 0.0
        while (now := loop.time()) < end:
            await asyncio.sleep(STEP_S)
            late_s = loop.time() - now - STEP_S
            worst_s = max(worst_s, late_s)
            if late_s >= DEAD_AFTER_S:
                self._slept()
        return worst_s

    def _take(self, second: Second) -> None:
        self._measured(second)
        before = self.strain.level
        level = self.strain.second(second)
        if level is not before:
            log.warning(
                "strain changed",
                extra={
                    "level": level.name,
                    "before": before.name,
                    "cpu_share": round(second.cpu_share, 2),
                    "late_ms": round(second.late_s * 1000),
                },
            )
            self._changed(level)
