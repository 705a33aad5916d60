"""The relay's composition root: starts everything, drains, stops.

Nothing here knows what a session does; nothing else knows what a relay consists of.
"""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from proto.metrics import ListenerMetrics
from proto.request import SessionRequest
from proto.udp import Listener
from relay.door import Door
from relay.pacer import Clock
from relay.reception import Reception
from relay.sessions import Sessions
from relay.settings import BUILTIN, RelaySettings, without_secrets
from relay.upstream import protocol
from relay.upstream.client import RealtimeClient
from relay.upstream.echo import Echo
from relay.upstream.names import Names
from relay.upstream.port import Upstream
from relay.upstream.probe import Probe
from runtime import status
from runtime.admin import admin_addresses, admin_door
from runtime.collector import exporting
from runtime.garbage import collect_seldom
from runtime.restarts import Restarts
from runtime.settings import Address
from runtime.siblings import Siblings
from runtime.stop import Stop
from runtime.table import Phase
from runtime.traces import Tracer
from runtime.worker import ALONE, Share, Worker

log = logging.getLogger(__name__)


def share(settings: RelaySettings) -> Share:
    """Return what the relay's workers have in common."""
    return Share(
        settings.workers, (settings.http, *admin_addresses(settings.admin_port))
    )


async def serve(settings: RelaySettings, stop: Stop, worker: Worker = ALONE) -> None:
    """Run the relay until `stop` is set and its sessions are closed.

    Raises:
        OSError: A port cannot be had.
    """
    # A session holds its connection for its whole length, so a pool's bound (100 unless
    # told otherwise) would be a bound on sessions.
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        exporting("relay", worker.number) as tracer,
        aiohttp.ClientSession(connector=connector) as http,
    ):
        relay = Relay(settings, http, worker, tracer)
        async with (
            admin_door(settings.admin_port, stop, relay.status_routes(), worker),
            relay.status_pages(),
        ):
            await relay.run(stop)


class Relay:
    """Link, tunnel, sessions and status pages of one process."""

    def __init__(
        self,
        settings: RelaySettings,
        http: aiohttp.ClientSession,
        worker: Worker,
        tracer: Tracer,
    ) -> None:
        self._settings = settings
        self._worker = worker
        self._siblings = Siblings(worker)
        self._http = http
        self._tasks = asyncio.TaskGroup()
        self._is_listening = False
        self._sessions = Sessions(unix_now=time.time)  # noqa: TID251  # dates calls
        self._metrics = self._sessions.metrics
        self._metrics.registry.register(Restarts(worker))
        self._clock = Clock(
            asyncio.get_running_loop(), self._metrics.tick_lateness_s.observe
        )
        self._reception = Reception(
            self._sessions,
            self._tasks,
            self._upstream,
            self._clock,
            settings.max_call_s,
            tracer,
        )
        self._tls = ssl.create_default_context()
        self._names = Names()
        self._probe: Probe | None = None
        if settings.upstream == BUILTIN:
            self._probe = Probe(http, settings.engine)

    def status_routes(self) -> list[web.RouteDef]:
        """Return the routes of /healthz, /readyz and /metrics."""
        return status.routes(
            self._metrics.registry, self.reason_not_ready, self._siblings
        )

    @contextlib.asynccontextmanager
    async def status_pages(self) -> AsyncIterator[None]:
        """Serve /healthz, /readyz and /metrics meanwhile."""
        answers = status.answers(self._metrics.registry, self.reason_not_ready)
        async with (
            status.status_door(self._settings.http, self.status_routes(), self._worker),
            self._siblings.answering(answers),
        ):
            yield

    async def run(self, stop: Stop) -> None:
        """Take sessions until `stop` is set, then close them.

        While the relay drains it refuses new ones and goes on with those it has; `stop`
        is set when the last has ended.
        """
        settings, reception = self._settings, self._reception
        port = settings.link_port + self._worker.index
        address = Address(settings.link_host, port)
        key, other = settings.link_keys
        listener = Listener(address, key, reception.accept, former_key=other)
        self._metrics.registry.register(ListenerMetrics(listener))
        door = Door(address, key, reception.answer, former_key=other)
        async with self._tasks as tasks:
            background = [
                tasks.create_task(listener.run()),
                tasks.create_task(door.run()),
            ]
            if self._probe:
                background.append(tasks.create_task(self._probe.run()))
            self._is_listening = True
            self._worker.enter(Phase.RUNNING)
            log.info(
                "relay started",
                extra={
                    "link": str(address),
                    "upstream": without_secrets(settings.upstream),
                },
            )
            collect_seldom()
            await stop.draining.wait()
            reception.is_draining = True
            await stop.set_after(self._sessions.ended())
            await self._sessions.drain()
            for task in background:
                task.cancel()
        self._clock.close()
        log.info("relay stopped")

    def reason_not_ready(self) -> str | None:
        """Return why the relay takes no sessions, or None."""
        if self._reception.is_draining:
            return "draining"
        if not self._is_listening:
            return "the link does not listen yet"
        if self._probe and not self._probe.is_ready:
            return f"the built-in engine is not ready on {self._settings.engine}"
        return None

    def _upstream(self, request: SessionRequest) -> Upstream:
        settings = self._settings
        if settings.echo_s is not None:
            return Echo(settings.echo_s)
        session = {**(request.session or {}), **(request.bound or {})}
        query = protocol.query(session, request.model or settings.model)
        return RealtimeClient(settings.url, settings.key, query, self._tls, self._names)
