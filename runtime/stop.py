"""How a service is told to end: politely at first, then at once.

    running ──drain()──► draining ──grace is over, set()──► stopping
       └──────────────────────set()──────────────────────────►┘
A service that drains takes nothing new and goes on with what it has; when that has
ended it sets this itself. One that cannot drain waits for the event alone.
"""

import asyncio
from collections.abc import Coroutine


class Stop(asyncio.Event):
    """Set once the service is to end now. Make it in a running loop.

    Args:
        grace_s: Seconds from `drain` to the end; 0: no time at all.

    Attributes:
        draining: Set once nothing new may be taken; always set when this is.
    """

    def __init__(self, grace_s: float = 0.0) -> None:
        super().__init__()
        self.draining = asyncio.Event()
        self._grace_s = grace_s
        self._grace: asyncio.TimerHandle | None = None

    def drain(self) -> None:
        """Take nothing new, and end when the grace is over; done once."""
        if self.draining.is_set():
            return
        self.draining.set()
        if self._grace_s > 0:
            loop = asyncio.get_running_loop()
            self._grace = loop.call_later(self._grace_s, self.set)
        else:
            self.set()

    def set(self) -> None:
        """End now."""
        if self._grace is not None:
            self._grace.cancel()
        self.draining.set()
        super().set()

    async def set_after(self, over: Coroutine[None, None, object]) -> None:
        """Wait until told to end now, or for what goes on to be over; then end."""
        async with asyncio.TaskGroup() as tasks:
            waits = [tasks.create_task(self.wait()), tasks.create_task(over)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        self.set()
