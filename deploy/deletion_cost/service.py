"""Asks each pod every 15 s what it holds, and tells the cluster."""

import asyncio
import logging
from typing import Final

import aiohttp
from prometheus_client import CollectorRegistry

from deploy.deletion_cost.cluster import Cluster, Pod
from deploy.deletion_cost.costs import held, is_worth_telling
from deploy.deletion_cost.settings import DeletionCostSettings
from runtime import status
from runtime.process import tell_of_process
from runtime.stop import Stop

log = logging.getLogger(__name__)

PERIOD_S: Final = 15.0
"""Seconds between two looks: as often as an autoscaler decides, unless told otherwise
(kube-controller-manager, --horizontal-pod-autoscaler-sync-period)."""

LIMIT_S: Final = 5.0
"""Seconds that one answer may take."""


async def serve(settings: DeletionCostSettings, stop: Stop) -> None:
    """Keep the costs until told to stop; there is nothing to drain.

    Raises:
        OSError: The port is taken.
    """
    registry = CollectorRegistry()
    tell_of_process(registry)
    limit = aiohttp.ClientTimeout(total=LIMIT_S)
    async with aiohttp.ClientSession(timeout=limit) as http:
        keeper = Keeper(Cluster(http, settings.api, settings.account()), http)
        pages = status.routes(registry, keeper.reason_not_ready)
        async with status.status_door(settings.http, pages):
            await stop.set_after(keeper.run())
    log.info("deletion cost stopped")


class Keeper:
    """Keeps the costs of all pods that hold calls.

    A pod that does not answer keeps the cost it had: it may be too busy.

    Args:
        cluster: Whom it tells.
        http: What pods are asked over; closed by its owner.
    """

    def __init__(self, cluster: Cluster, http: aiohttp.ClientSession) -> None:
        self._cluster = cluster
        self._http = http
        self._trouble: str | None = "starting"

    def reason_not_ready(self) -> str | None:
        """Return why the costs are not what they should be; None: they are."""
        return self._trouble

    async def run(self) -> None:
        """Look again and again; cancelled to stop."""
        while True:
            await self.look()
            await asyncio.sleep(PERIOD_S)

    async def look(self) -> None:
        """Bring the costs of all pods up to date."""
        trouble = None
        try:
            pods = await self._cluster.pods()
            for pod, now_held in zip(pods, await self._ask_all(pods), strict=True):
                if now_held is not None and is_worth_telling(pod.told, now_held):
                    await self._cluster.tell(pod.name, now_held)
        except (aiohttp.ClientError, TimeoutError) as error:
            trouble = f"the API server: {str(error) or type(error).__name__}"
        except OSError as error:
            trouble = f"the service account: {error.filename}: {error.strerror}"
        if trouble is not None and self._trouble != trouble:
            log.warning("costs cannot be kept", extra={"reason": trouble})
        self._trouble = trouble

    async def _ask_all(self, pods: list[Pod]) -> list[int | None]:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._ask(pod)) for pod in pods]
        return [task.result() for task in asked]

    async def _ask(self, pod: Pod) -> int | None:
        """Return what a pod holds; None where it does not say."""
        try:
            async with self._http.get(
                f"http://{pod.status}/metrics", raise_for_status=True
            ) as response:
                return held(await response.text())
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.info("pod tells nothing", extra={"pod": pod.name, "reason": str(error)})
            return None
