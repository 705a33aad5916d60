"""The live sessions of this process: found by call id, counted, and let go together."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple, Protocol

from proto.errors import CloseCode
from proto.request import SessionRequest
from proto.stats import FrameCounts
from relay.life import Life
from relay.metrics import Ending, Metrics, Queues, Traffic
from relay.session import Session

log = logging.getLogger(__name__)

DRAIN_TIMEOUT_S = 3.0
"""Seconds that closing sessions may take to say goodbye to their upstreams."""

_STOPPING = "the relay is shutting down"


class LiveSession(Protocol):
    """A session of either kind."""

    transport: str
    request: SessionRequest
    life: Life

    @property
    def traffic(self) -> Traffic:
        """What has passed through so far."""

    @property
    def queues(self) -> Queues:
        """What waits."""

    @property
    def frame_counts(self) -> FrameCounts | None:
        """What became of its audio frames on the link, if it has one."""

    def close(self, code: CloseCode, reason: str) -> None:
        """End it from this side."""


class Call(NamedTuple):
    """A live WebRTC call."""

    session: Session
    created_at_unix_s: int


class Sessions:
    """All of them.

    Args:
        unix_now: Tells the wall clock, in seconds; for what the API calls `created_at`.
    """

    def __init__(self, unix_now: Callable[[], float]) -> None:
        self.metrics = Metrics(self._live_traffic, self._queues)
        self._unix_now = unix_now
        self._live: dict[LiveSession, asyncio.Task[None] | None] = {}
        self._calls: dict[str, Call] = {}
        self._is_draining = False
        self._one_ended = asyncio.Event()

    def find(self, call_id: str, tenant: str) -> Call | None:
        """Return a tenant's live call.

        One that is another's, has ended or never was is all the same: None.
        """
        call = self._calls.get(call_id)
        if call is None or call.session.life.is_over:
            return None
        return call if call.session.request.tenant == tenant else None

    def add(self, session: Session) -> None:
        """Let a call be found, until `hold` returns."""
        call = Call(session, int(self._unix_now()))
        self._calls[session.request.call_id] = call

    async def hold(
        self, session: LiveSession, run: Callable[[], Awaitable[None]]
    ) -> None:
        """Run a session to its end, and count it."""
        self._live[session] = asyncio.current_task()
        live = self.metrics.sessions.labels(session.transport)
        live.inc()
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        if self._is_draining:  # it was asked for in the very moment before
            session.close(CloseCode.DRAINING, _STOPPING)
        try:
            await run()
        except Exception:
            # The one place that catches everything: a fault in one session must not
            # end the others, which share this process.
            log.exception("session failed", extra=dict(session.life.fields))
            session.close(CloseCode.INTERNAL, "internal error")
        finally:
            del self._live[session]
            self._forget(session)
            self._one_ended.set()
            live.dec()
            self._conclude(session, loop.time() - started_s)

    async def ended(self) -> None:
        """Wait until there are none, those yet to begin included."""
        while self._live or self._calls:
            self._one_ended.clear()
            await self._one_ended.wait()

    async def drain(self) -> None:
        """Close all of them, and those yet to begin; wait until they are gone."""
        self._is_draining = True
        closing = list(self._live.items())
        if not closing:
            return
        log.info("draining", extra={"sessions": len(closing)})
        for session, _ in closing:
            session.close(CloseCode.DRAINING, _STOPPING)
        tasks = [task for _, task in closing if task is not None]
        _, pending = await asyncio.wait(tasks, timeout=DRAIN_TIMEOUT_S)
        for task in pending:
            task.cancel()

    def _forget(self, session: LiveSession) -> None:
        call_id = session.request.call_id
        call = self._calls.get(call_id)
        if call is not None and call.session is session:
            del self._calls[call_id]

    def _conclude(self, session: LiveSession, seconds: float) -> None:
        life, traffic = session.life, session.traffic
        code = life.code.name.lower()
        error_code = life.failure.code if life.failure else None
        tenant = session.request.tenant
        life.trace.span.tell({"tandem.close.code": code})
        life.trace.close()
        ending = Ending(session.transport, code, error_code, seconds, tenant)
        self.metrics.session_ended(traffic, ending)
        frames = session.frame_counts
        if frames is not None:
            self.metrics.session_loss.observe(frames.share_given_up)
        log.info(
            "session closed",
            extra={
                **life.fields,
                "seconds": round(seconds, 3),
                "code": code,
                "reason": life.reason,
                "frames_up": traffic.frames_up,
                "frames_down": traffic.frames_down,
                "frames_lost": traffic.frames_lost,
                "events_up": traffic.events_up,
                "events_down": traffic.events_down,
                "barge_ins": traffic.barge_ins,
                **(frames.fields() if frames is not None else {}),
            },
        )

    def _queues(self) -> Iterator[Queues]:
        return (session.queues for session in self._live)

    def _live_traffic(self) -> Iterator[Traffic]:
        return (session.traffic for session in self._live)
