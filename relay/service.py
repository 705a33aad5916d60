"""The relay's composition root: starts everything, drains, stops.

Nothing here knows what a session does; nothing else knows what a relay consists of.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator

import aiohttp
from aiohttp import web

from proto.errors import CloseCode
from proto.udp import LinkSession, Listener
from relay.metrics import Metrics, Traffic
from relay.pacer import Clock
from relay.request import SessionRequest
from relay.session import Session
from relay.settings import BUILTIN, ECHO, RelaySettings
from relay.upstream import protocol
from relay.upstream.client import RealtimeClient
from relay.upstream.echo import Echo
from relay.upstream.port import Upstream
from relay.upstream.probe import Probe
from runtime import status
from runtime.settings import Address

log = logging.getLogger(__name__)

DRAIN_TIMEOUT_S = 3.0
"""Seconds that closing sessions may take to say goodbye to their upstreams."""


async def serve(settings: RelaySettings, stop: asyncio.Event) -> None:
    """Run the relay until `stop` is set and its sessions are closed.

    Raises:
        OSError: A port cannot be had.
    """
    # A session holds its connection for its whole length, so a pool's bound (100 unless
    # told otherwise) would be a bound on sessions.
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        relay = Relay(settings, http)
        async with relay.status_pages():
            await relay.run(stop)


class Relay:
    """All sessions of one process."""

    def __init__(self, settings: RelaySettings, http: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._http = http
        self._sessions: dict[Session, asyncio.Task[None]] = {}
        self._tasks = asyncio.TaskGroup()
        self._is_linked = False
        self._is_draining = False
        self._metrics = Metrics(self._live_traffic)
        self._clock = Clock(
            asyncio.get_running_loop(), self._metrics.tick_lateness_s.observe
        )
        self._probe: Probe | None = None
        if settings.upstream == BUILTIN:
            self._probe = Probe(http, settings.engine)

    @contextlib.asynccontextmanager
    async def status_pages(self) -> AsyncIterator[None]:
        """Serve /healthz, /readyz and /metrics meanwhile."""
        pages = web.Application()
        pages.add_routes(status.routes(self._metrics.registry, self.reason_not_ready))
        runner = web.AppRunner(pages, access_log=None)
        await runner.setup()
        try:
            host, port = self._settings.http_host, self._settings.http_port
            await web.TCPSite(runner, host, port).start()
            log.info("status pages", extra={"address": str(Address(host, port))})
            yield
        finally:
            await runner.cleanup()

    async def run(self, stop: asyncio.Event) -> None:
        """Take sessions until `stop` is set, then close them."""
        address = Address(self._settings.link_host, self._settings.link_port)
        listener = Listener(address, self._settings.link_key, self._accept)
        async with self._tasks as tasks:
            background = [tasks.create_task(listener.run())]
            if self._probe:
                background.append(tasks.create_task(self._probe.run()))
            self._is_linked = True
            log.info(
                "relay started",
                extra={"link": str(address), "upstream": self._settings.upstream},
            )
            await stop.wait()
            await self._drain()
            for task in background:
                task.cancel()
        self._clock.close()
        log.info("relay stopped")

    def reason_not_ready(self) -> str | None:
        """Return why the relay takes no sessions, or None."""
        if self._is_draining:
            return "draining"
        if not self._is_linked:
            return "the link does not listen yet"
        if self._probe and not self._probe.is_ready:
            return f"the built-in engine is not ready on {self._settings.engine}"
        return None

    def _accept(self, link: LinkSession, request_data: bytes) -> Session | None:
        if self._is_draining:
            link.close(CloseCode.DRAINING, "the relay is shutting down")
            return None
        try:
            request = SessionRequest.parse(request_data)
        except ValueError as error:
            log.warning("session request refused", extra={"why": str(error)})
            link.close(CloseCode.PROTOCOL, "the session request cannot be read")
            return None
        session = Session(link, request, self._upstream(request), self._clock)
        self._sessions[session] = self._tasks.create_task(self._hold(session))
        self._metrics.sessions.set(len(self._sessions))
        return session

    def _upstream(self, request: SessionRequest) -> Upstream:
        settings = self._settings
        if settings.upstream == ECHO:
            return Echo()
        query = protocol.query(request.session, request.model or settings.model)
        return RealtimeClient(self._http, settings.url, settings.key, query)

    async def _hold(self, session: Session) -> None:
        started_s = asyncio.get_running_loop().time()
        try:
            await session.run()
        except Exception:
            # The one place that catches everything: a fault in one session must not
            # end the others, which share this task group.
            log.exception("session failed")
            session.close(CloseCode.INTERNAL, "internal error")
        finally:
            del self._sessions[session]
            duration_s = asyncio.get_running_loop().time() - started_s
            self._metrics.sessions.set(len(self._sessions))
            self._metrics.session_ended(
                session.traffic,
                session.close_code.name.lower(),
                session.upstream_error.code if session.upstream_error else None,
                duration_s,
            )

    async def _drain(self) -> None:
        self._is_draining = True
        closing = list(self._sessions.items())
        for session, _ in closing:
            session.close(CloseCode.DRAINING, "the relay is shutting down")
        if not closing:
            return
        log.info("draining", extra={"sessions": len(closing)})
        tasks = [task for _, task in closing]
        _, pending = await asyncio.wait(tasks, timeout=DRAIN_TIMEOUT_S)
        for task in pending:
            task.cancel()

    def _live_traffic(self) -> Iterator[Traffic]:
        return (session.traffic for session in self._sessions)
