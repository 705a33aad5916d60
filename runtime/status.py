"""The three status pages of every service: /healthz, /readyz, /metrics.

Alive and ready are different questions: a service that drains or has lost its peer is
alive (do not restart it) but not ready (send it no calls).
"""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST


def routes(
    registry: CollectorRegistry, reason_not_ready: Callable[[], str | None]
) -> list[web.RouteDef]:
    """Return the status routes.

    Args:
        registry: What /metrics exposes.
        reason_not_ready: None when the service takes work, else why it does not.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        reason = reason_not_ready()
        if reason is None:
            return web.json_response({"status": "ready"})
        return web.json_response({"status": "not ready", "reason": reason}, status=503)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(registry),
            headers={"Content-Type": CONTENT_TYPE_LATEST},
        )

    return [
        web.get("/healthz", healthz),
        web.get("/readyz", readyz),
        web.get("/metrics", metrics),
    ]
