"""The two requests made of a Kubernetes API server: list pods, annotate one."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import aiohttp

from deploy.deletion_cost.account import Account
from runtime.settings import Address

COST: Final = "controller.kubernetes.io/pod-deletion-cost"
"""Annotation by which a ReplicaSet chooses whom to take away: the lowest first, 0 where
there is none (kubernetes.io, ReplicaSet, "Pod deletion cost")."""

OURS: Final = (
    "app.kubernetes.io/part-of=tandem,app.kubernetes.io/name in (relay,transceiver)"
)
"""Label selector of the pods that hold calls."""

STATUS_PORT: Final = "status"
"""Name of the container port with the status pages."""


class Pod(NamedTuple):
    """A pod that runs, and is not about to go.

    Attributes:
        name: In the namespace.
        status: Where its status pages are.
        told: The cost that the cluster knows; None: none that can be read.
    """

    name: str
    status: Address
    told: int | None


class Cluster:
    """The API server, as a service account of one namespace may use it.

    Args:
        http: Connections; closed by its owner.
        api: Where the server is.
        account: Whose token is shown.
    """

    def __init__(
        self, http: aiohttp.ClientSession, api: Address, account: Account
    ) -> None:
        self._http = http
        self._account = account
        self._pods = f"https://{api}/api/v1/namespaces/{account.namespace}/pods"

    async def pods(self) -> list[Pod]:
        """Return the pods that hold calls.

        Raises:
            aiohttp.ClientError: The server cannot be reached, or refuses.
            TimeoutError: It does not answer.
            OSError: The account's token is not there any more.
        """
        async with self._http.get(
            self._pods,
            params={"labelSelector": OURS},
            headers=self._headers(),
            ssl=self._account.tls,
            raise_for_status=True,
        ) as response:
            return list(_running(await response.json()))

    async def tell(self, pod: str, cost: int) -> None:
        """Annotate a pod with its cost; one that has gone meanwhile needs none.

        Raises:
            aiohttp.ClientError: The server cannot be reached, or refuses.
            TimeoutError: It does not answer.
            OSError: The account's token is not there any more.
        """
        async with self._http.patch(
            f"{self._pods}/{pod}",
            json={"metadata": {"annotations": {COST: str(cost)}}},
            headers={
                **self._headers(),
                "Content-Type": "application/merge-patch+json",
            },
            ssl=self._account.tls,
        ) as response:
            if response.status != 404:
                response.raise_for_status()

    def _headers(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._account.token()}"}


def _running(found: Mapping[str, Any]) -> Iterator[Pod]:
    for pod in found["items"]:
        metadata, status = pod["metadata"], pod["status"]
        port = _status_port(pod["spec"])
        address = status.get("podIP")
        is_leaving = "deletionTimestamp" in metadata
        if is_leaving or port is None or not address or status["phase"] != "Running":
            continue
        told = _cost(metadata.get("annotations") or {})
        yield Pod(metadata["name"], Address(address, port), told)


def _status_port(spec: Mapping[str, Any]) -> int | None:
    for container in spec["containers"]:
        for port in container.get("ports") or ():
            if port.get("name") == STATUS_PORT:
                return int(port["containerPort"])
    return None


def _cost(annotations: Mapping[str, str]) -> int | None:
    try:
        return int(annotations[COST])
    except (KeyError, ValueError):
        return None
