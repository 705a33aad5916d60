"""The transceiver's composition root: what is started, in which order, and stopped."""

import asyncio
import logging
import time

import aiohttp

from proto.metrics import DialerMetrics
from runtime import status
from runtime.admin import admin_addresses, admin_door
from runtime.collector import exporting
from runtime.garbage import collect_seldom
from runtime.restarts import Restarts
from runtime.siblings import Siblings
from runtime.stop import Stop
from runtime.table import Phase
from runtime.traces import Tracer
from runtime.worker import ALONE, Share, Worker
from transceiver.admission import Admission
from transceiver.auth import KeyRing, tenants_of
from transceiver.calls import Calls
from transceiver.client_secrets import ClientSecrets
from transceiver.control import Control
from transceiver.http.application import application
from transceiver.http.calls import call_routes
from transceiver.http.client_secrets import client_secret_routes
from transceiver.http.realtime import realtime_routes
from transceiver.http.server import listening
from transceiver.media import HAS_LANES
from transceiver.metrics import Metrics
from transceiver.profile import easing_saves
from transceiver.settings import TransceiverSettings
from transceiver.spread import QUESTION, Spread
from transceiver.strain import Strain
from transceiver.tunnel import Tunnels
from transceiver.uplink import Uplink
from transceiver.watch import Watch
from transceiver.webrtc.addresses import advertised_addresses
from transceiver.webrtc.behind import Ingress
from transceiver.webrtc.ice import UdpPort
from transceiver.webrtc.pinned import check_aiortc

log = logging.getLogger(__name__)


def share(settings: TransceiverSettings) -> Share:
    """Return what the edge's workers have in common."""
    doors = [settings.http, *admin_addresses(settings.admin_port)]
    if settings.status is not None:
        doors.append(settings.status)
    return Share(settings.workers, tuple(doors), tenants_of(settings.api_keys))


async def serve(
    settings: TransceiverSettings, stop: Stop, worker: Worker = ALONE
) -> None:
    """Run the edge until told to stop; told to drain, until its calls are over.

    Raises:
        OSError: A port is taken.
    """
    check_aiortc()
    port = UdpPort(
        settings.udp_host,
        settings.udp_port + worker.index,
        settings.public_address,
        with_loopback=settings.is_local,
        ingress=_ingress(settings),
    )
    try:
        async with exporting("transceiver", worker.number) as tracer:
            await _serve_on(port, settings, stop, worker, tracer)
    finally:
        port.close()


async def _serve_on(
    port: UdpPort,
    settings: TransceiverSettings,
    stop: Stop,
    worker: Worker,
    tracer: Tracer,
) -> None:
    metrics = Metrics(port.dropped)
    uplink = Uplink(settings.relays, settings.link_keys.key, settings.link_payload)
    metrics.registry.register(DialerMetrics(uplink.dialers))
    admission = Admission(
        max_calls=settings.max_calls,
        max_calls_per_key=settings.max_calls_per_key,
        counts=worker.counts(),
    )
    calls = Calls(port, uplink, metrics, admission, settings.profile, tracer)
    metrics.calls.set_function(lambda: len(calls))
    metrics.slots.set_function(lambda: len(admission))
    strain = Strain(easing_saves(settings.profile))
    watch = Watch(strain, calls.relieve, calls.second, uplink.slept)
    metrics.tell_of_strain(watch, admission)
    siblings = Siblings(worker)
    spread = Spread(calls, admission, siblings, worker.table)
    metrics.registry.register(spread)
    metrics.registry.register(Restarts(worker))
    client_secrets = ClientSecrets(*settings.link_keys)
    wall_s = time.time  # noqa: TID251  # client secrets expire at a Unix time
    keys = KeyRing(settings.api_keys, client_secrets, wall_s)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        tunnels = Tunnels(http, uplink, settings.link_keys.key)
        pages = status.routes(metrics.registry, calls.reason_not_ready, siblings)
        routes = [
            *(pages if settings.has_public_metrics else status.probes(pages)),
            *call_routes(spread, keys, Control(calls, tunnels)),
            *client_secret_routes(keys, client_secrets, wall_s),
            *realtime_routes(
                keys, admission, tunnels, metrics.websockets, stop, tracer
            ),
        ]
        app = application(routes, metrics.refused.inc)
        answers = status.answers(metrics.registry, calls.reason_not_ready)
        async with (
            admin_door(settings.admin_port, stop, pages, worker),
            status.status_door(settings.status, pages, worker),
            listening(app, worker.sockets(settings.http), settings.tls_context()),
            siblings.answering({**answers, QUESTION: spread.answer}),
        ):
            worker.enter(Phase.RUNNING)
            _log_start(settings, port)
            collect_seldom()
            async with asyncio.TaskGroup() as group:
                background = [
                    group.create_task(uplink.run()),
                    group.create_task(watch.run()),
                ]
                await calls.run(stop)
                for task in background:
                    task.cancel()
    log.info("transceiver stopped")


def _ingress(settings: TransceiverSettings) -> Ingress | None:
    if not settings.ingress_addresses:
        return None
    own = advertised_addresses(
        settings.udp_host, settings.ingress_route, with_loopback=False
    )
    return Ingress(settings.ingress_addresses, own[0], settings.link_keys)


def _log_start(settings: TransceiverSettings, port: UdpPort) -> None:
    log.info(
        "transceiver listens",
        extra={
            "tls": bool(settings.tls_certificate),
            "lanes": HAS_LANES,
            "http": f"{settings.http_host}:{settings.http_port}",
            "udp": "{}:{}".format(*port.socket.address),
            "advertised": ",".join(candidate.host for candidate in port.candidates),
            "relays": ";".join(
                ",".join(map(str, region)) for region in settings.relays
            ),
        },
    )
