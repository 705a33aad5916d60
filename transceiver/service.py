"""The transceiver's composition root: what is started, in which order, and stopped."""

import asyncio
import gc
import logging
import time

import aiohttp

from proto.metrics import DialerMetrics
from runtime import status
from runtime.admin import admin_door
from runtime.settings import Address
from runtime.stop import Stop
from transceiver.admission import Admission
from transceiver.auth import KeyRing
from transceiver.calls import Calls
from transceiver.client_secrets import ClientSecrets
from transceiver.http.application import application
from transceiver.http.calls import call_routes
from transceiver.http.client_secrets import client_secret_routes
from transceiver.http.realtime import realtime_routes
from transceiver.http.server import listening
from transceiver.metrics import Metrics
from transceiver.settings import TransceiverSettings
from transceiver.tunnel import Tunnels
from transceiver.uplink import Uplink
from transceiver.watch import Watch
from transceiver.webrtc.ice import UdpPort
from transceiver.webrtc.pinned import check_aiortc

log = logging.getLogger(__name__)


async def serve(settings: TransceiverSettings, stop: Stop) -> None:
    """Run the edge until told to stop; told to drain, until its calls are over.

    Raises:
        OSError: A port is taken.
    """
    check_aiortc()
    port = UdpPort(
        settings.udp_host,
        settings.udp_port,
        settings.public_address,
        with_loopback=settings.is_local,
    )
    try:
        await _serve_on(port, settings, stop)
    finally:
        port.close()


async def _serve_on(port: UdpPort, settings: TransceiverSettings, stop: Stop) -> None:
    metrics = Metrics(port.dropped)
    uplink = Uplink(settings.relays, settings.link_keys.key, settings.link_payload)
    metrics.registry.register(DialerMetrics(uplink.dialers))
    admission = Admission(
        max_calls=settings.max_calls, max_calls_per_key=settings.max_calls_per_key
    )
    calls = Calls(port, uplink, metrics, admission, settings.profile)
    metrics.calls.set_function(lambda: len(calls))
    metrics.slots.set_function(lambda: len(admission))
    watch = Watch(calls.relieve, metrics.second)
    metrics.tell_of_strain(watch, admission)
    client_secrets = ClientSecrets(*settings.link_keys)
    wall_s = time.time  # noqa: TID251  # client secrets expire at a Unix time
    keys = KeyRing(settings.api_keys, client_secrets, wall_s)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        tunnels = Tunnels(http, uplink, settings.link_keys.key)
        pages = status.routes(metrics.registry, calls.reason_not_ready)
        routes = [
            *pages,
            *call_routes(calls, keys, tunnels),
            *client_secret_routes(keys, client_secrets, wall_s),
            *realtime_routes(keys, admission, tunnels, metrics.websockets, stop),
        ]
        app = application(routes, metrics.refused.inc)
        address = Address(settings.http_host, settings.http_port)
        async with (
            admin_door(settings.admin_port, stop, pages),
            listening(app, address, settings.tls_context()),
        ):
            _log_start(settings, port)
            gc.freeze()  # what start-up made lives on: collections need not visit it
            async with asyncio.TaskGroup() as group:
                background = [
                    group.create_task(uplink.run()),
                    group.create_task(watch.run()),
                ]
                await calls.run(stop)
                for task in background:
                    task.cancel()
    log.info("transceiver stopped")


def _log_start(settings: TransceiverSettings, port: UdpPort) -> None:
    log.info(
        "transceiver listens",
        extra={
            "tls": bool(settings.tls_certificate),
            "http": f"{settings.http_host}:{settings.http_port}",
            "udp": "{}:{}".format(*port.socket.address),
            "advertised": ",".join(candidate.host for candidate in port.candidates),
            "relays": ";".join(
                ",".join(map(str, region)) for region in settings.relays
            ),
        },
    )
