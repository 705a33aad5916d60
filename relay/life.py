"""How long a session lasts, and why it ended: what sessions of both kinds share.

It is over when either side ends it, its upstream fails, or its time is up.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from proto.errors import CloseCode
from relay.upstream.port import UpstreamError
from runtime.traces import Steps

log = logging.getLogger(__name__)

CONNECT = "upstream connect"
"""Span: from the session's first moment to the upstream's taking it."""

Part = Callable[[asyncio.TaskGroup], Coroutine[Any, Any, None]]
"""What a session does all its life; may start tasks of its own in the group."""


class Life:
    """From a session's first moment to its last.

    Args:
        max_s: Seconds after which its time is up.
        fields: Name the session in the log.
        trace: Tells of it, and of the upstream's part.
    """

    def __init__(
        self, max_s: float, fields: Mapping[str, object], trace: Steps | None = None
    ) -> None:
        self.code = CloseCode.NORMAL
        self.reason = ""
        self.failure: UpstreamError | None = None
        """Of the upstream, if that ended it."""
        self.fields = fields
        self.trace = trace or Steps()
        self.is_over = False
        """It has ended; nothing changes that."""
        self._max_s = max_s
        self._ends = asyncio.Event()

    def end(self, code: CloseCode, reason: str) -> bool:
        """End it; only the first call counts, and returns True."""
        if self.is_over:
            return False
        self.is_over = True
        self.code, self.reason = code, reason
        self._ends.set()
        return True

    async def last(self, *parts: Part, expired: Callable[[], None]) -> None:
        """Run the parts until it is over; `failure` says whether the upstream failed.

        Args:
            parts: Run side by side, and cancelled at the end.
            expired: Called when the time is up; ends it.
        """
        log.info("session opened", extra=self.fields)
        self.trace.begin(CONNECT)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._max_s, expired)
        try:
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(self._hold(part, tasks)) for part in parts]
                await self._ends.wait()
                for task in running:
                    task.cancel()
        finally:
            timer.cancel()

    def connected(self) -> None:
        """Take note: the upstream has taken the session."""
        self.trace.end(CONNECT)

    @property
    def expiry_reason(self) -> str:
        """Why a session ends whose time is up, in OpenAI's words."""
        count, unit = round(self._max_s), "second"
        if count % 60 == 0:
            count, unit = count // 60, "minute"
        length = f"{count} {unit}{'' if count == 1 else 's'}"
        return f"Your session hit the maximum duration of {length}."

    async def _hold(self, part: Part, tasks: asyncio.TaskGroup) -> None:
        try:
            await part(tasks)
        except UpstreamError as failure:
            self._failed(failure)

    def _failed(self, failure: UpstreamError) -> None:
        # The frames that it came through hold the session, which is to hold it.
        failure.__traceback__ = failure.__context__ = failure.__cause__ = None
        self.failure = failure
        self.trace.error = failure.code
        self._ends.set()
        log.warning(
            "upstream failed",
            extra={**self.fields, "code": failure.code, "what": failure.message},
        )
