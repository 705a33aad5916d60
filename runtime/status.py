"""The three status pages of every service: /healthz, /readyz, /metrics.

Alive and ready are different questions: a service that drains or has lost its peer is
alive (do not restart it) but not ready (send it no calls).

Of a service with workers any one answers, for all: alive if it is; ready if one of them
takes work, since who does not hands it over; with the metrics of all, by worker.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from runtime.exposition import merged
from runtime.listening import serving
from runtime.settings import Address
from runtime.siblings import Answer, Siblings
from runtime.worker import ALONE, Worker

log = logging.getLogger(__name__)

READY_S: Final = 0.5
"""Seconds that siblings get to say that they are ready: whoever probes gives up soon
(Kubernetes after 1 s unless told otherwise), and a loop that turns says it at once."""

_READY = b"ready"
_PROBES = frozenset({"/healthz", "/readyz"})


def routes(
    registry: CollectorRegistry,
    reason_not_ready: Callable[[], str | None],
    siblings: Siblings | None = None,
) -> list[web.RouteDef]:
    """Return the status routes.

    Args:
        registry: What /metrics exposes.
        reason_not_ready: None when this process takes work, else why it does not.
        siblings: Its fellow workers, who are asked as well.
    """
    others = siblings or Siblings(ALONE)

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        reason = reason_not_ready()
        if reason is None or await _one_is_ready(others):
            return web.json_response({"status": "ready"})
        return web.json_response({"status": "not ready", "reason": reason}, status=503)

    async def metrics(_: web.Request) -> web.Response:
        page = generate_latest(registry)
        if others.own_index is not None:
            pages = {others.own_index: page, **await others.ask_all("metrics")}
            page = merged(pages)
        return web.Response(
            body=page,
            headers={"Content-Type": CONTENT_TYPE_LATEST},
        )

    return [
        web.get("/healthz", healthz),
        web.get("/readyz", readyz),
        web.get("/metrics", metrics),
    ]


async def _one_is_ready(others: Siblings) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_S):
            return await others.one_answers("ready", _READY)
    return False


def probes(pages: Iterable[web.RouteDef]) -> list[web.RouteDef]:
    """Return those of the status routes that strangers may see: alive, and ready."""
    return [page for page in pages if page.path in _PROBES]


@contextlib.asynccontextmanager
async def status_door(
    address: Address | None, pages: Iterable[web.RouteDef], worker: Worker = ALONE
) -> AsyncIterator[None]:
    """Serve the status pages on a port of their own for the length of a block.

    Args:
        address: Where; None: not at all.
        pages: What `routes` returned.
        worker: This process's place among those that accept there.

    Raises:
        OSError: The port is taken.
    """
    if address is None:
        yield
        return
    async with serving(pages, worker.sockets(address)):
        log.info("status pages", extra={"address": str(address)})
        yield


def answers(
    registry: CollectorRegistry, reason_not_ready: Callable[[], str | None]
) -> Mapping[str, Answer]:
    """Return what siblings are answered for their status routes."""

    async def metrics(_: bytes) -> bytes:
        return generate_latest(registry)

    async def ready(_: bytes) -> bytes:
        return _READY if reason_not_ready() is None else b"no"

    return {"metrics": metrics, "ready": ready}
