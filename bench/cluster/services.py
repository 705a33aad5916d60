"""The services of the cluster: real processes, each in its host's namespace."""

import asyncio
import base64
import os
import secrets

import aiohttp

from bench.cluster.network import (
    EDGES,
    HOSTS,
    INGRESSES,
    MEDIA_ADDRESS,
    RELAYS,
    Network,
    address,
)
from tests.support.services import Process

API_KEY = "sk-cluster"
HTTP_PORT = 8080
LINK_PORT = 7000
MEDIA_PORT = 3478

GRACE_S = 120
"""TANDEM_DRAIN_S of edges and relays: longer than any step."""

AWAY_S = 1
"""TANDEM_DRAIN_S of forwarders: the load balancer moves all flows away at once."""

POLL_S = 0.02
WAIT_S = 30.0

MODULES = {
    **dict.fromkeys(RELAYS, "relay"),
    **dict.fromkeys(EDGES, "transceiver"),
    **dict.fromkeys(INGRESSES, "transceiver.ingress"),
}


class Services:
    """All services by the name of their host."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._link_key = base64.b64encode(secrets.token_bytes(32)).decode()
        self._processes: dict[str, Process] = {}

    def __getitem__(self, host: str) -> Process:
        return self._processes[host]

    async def start(self, host: str) -> None:
        """Start a host's service and wait until it is ready; logs begin anew."""
        process = Process(MODULES[host], url(host), self._network.on(host))
        self._processes[host] = process
        await process.start(self._environ(host))
        await process.wait_ready()

    async def linked(self, edge: str, relays: int) -> None:
        """Wait until an edge has had links come up so many times."""
        async with asyncio.timeout(WAIT_S):
            while self[edge].log.count("link up") < relays:  # noqa: ASYNC110  # a process has no event
                await asyncio.sleep(POLL_S)

    async def drained(self, host: str) -> None:
        """Wait until a service says that it drains, or has ended."""
        async with aiohttp.ClientSession() as http, asyncio.timeout(WAIT_S):
            while self[host].is_running:
                try:
                    async with http.get(f"{url(host)}/readyz") as answer:
                        if answer.status == 503:
                            return
                except aiohttp.ClientError:
                    pass  # it is just ending
                await asyncio.sleep(POLL_S)

    async def stop(self) -> None:
        """End all of them, callers' side first."""
        for host in HOSTS[1:]:
            if host in self._processes:
                await self[host].stop()

    @property
    def log(self) -> str:
        """What all that run now have logged."""
        return "".join(f"--- {host}\n{p.log}" for host, p in self._processes.items())

    def _environ(self, host: str) -> dict[str, str]:
        here = address(host)
        common = {
            **{k: v for k, v in os.environ.items() if not k.startswith("TANDEM_")},
            "TANDEM_LINK_KEY": self._link_key,
            "TANDEM_DRAIN_S": str(AWAY_S if host in INGRESSES else GRACE_S),
        }
        if host in RELAYS:
            return common | {
                "TANDEM_LINK_HOST": here,
                "TANDEM_LINK_PORT": str(LINK_PORT),
                "TANDEM_RELAY_HTTP_HOST": here,
                "TANDEM_RELAY_HTTP_PORT": str(HTTP_PORT),
                "TANDEM_UPSTREAM": "echo",
            }
        if host in EDGES:
            return common | {
                "TANDEM_API_KEYS": API_KEY,
                "TANDEM_HTTP_HOST": here,
                "TANDEM_HTTP_PORT": str(HTTP_PORT),
                "TANDEM_UDP_HOST": here,
                "TANDEM_INGRESS_ADDRESS": f"{MEDIA_ADDRESS}:{MEDIA_PORT}",
                "TANDEM_INGRESS_ROUTE": here,
                "TANDEM_RELAYS": ",".join(f"{address(r)}:{LINK_PORT}" for r in RELAYS),
            }
        return common | {
            "TANDEM_INGRESS_HOST": MEDIA_ADDRESS,
            "TANDEM_INGRESS_PORT": str(MEDIA_PORT),
            "TANDEM_INGRESS_INNER_HOST": here,
            "TANDEM_INGRESS_HTTP_HOST": here,
            "TANDEM_INGRESS_HTTP_PORT": str(HTTP_PORT),
        }


def url(host: str) -> str:
    """Return the base URL of a service's HTTP, without a trailing slash."""
    return f"http://{address(host)}:{HTTP_PORT}"
