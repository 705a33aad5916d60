"""The forwarder's composition root: started, drained, stopped.

A drain changes nothing for the calls that come through here: it makes the load balancer
look elsewhere, and ends when no flow is left or the grace is over.
"""

import asyncio
import logging

from runtime import status
from runtime.garbage import collect_seldom
from runtime.stop import Stop
from transceiver.ingress.flows import Flows
from transceiver.ingress.forwarder import Forwarder
from transceiver.ingress.metrics import registry_of
from transceiver.ingress.settings import IngressSettings

log = logging.getLogger(__name__)

SWEEP_S = 1.0
"""How often flows that went silent are looked for."""


async def serve(settings: IngressSettings, stop: Stop) -> None:
    """Forward until told to stop; told to drain, until no flow is left.

    Raises:
        OSError: A port is taken.
    """
    forwarder = Forwarder(settings)

    def reason_not_ready() -> str | None:
        return "draining" if stop.draining.is_set() else None

    pages = status.routes(registry_of(forwarder), reason_not_ready)
    try:
        async with status.status_door(settings.http, pages):
            _log_start(settings, forwarder)
            collect_seldom()
            await _forward(forwarder.router.flows, stop)
    finally:
        forwarder.close()
    log.info("forwarder stopped")


async def _forward(flows: Flows, stop: Stop) -> None:
    """Keep the table clean until told to end, or until a drain has emptied it."""
    now = asyncio.get_running_loop().time
    while not stop.is_set():
        try:
            async with asyncio.timeout(SWEEP_S):
                await stop.wait()
        except TimeoutError:
            flows.expire(now())
            if stop.draining.is_set() and not flows.sources:
                stop.set()


def _log_start(settings: IngressSettings, forwarder: Forwarder) -> None:
    log.info(
        "forwarder listens",
        extra={
            "http": str(settings.http),
            "udp": "{}:{}".format(*forwarder.outer.address),
            "inner": "{}:{}".format(*forwarder.inner.address),
        },
    )
