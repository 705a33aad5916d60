"""Pods' deletion costs follow their calls, in a cluster that is none."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from deploy.deletion_cost.cluster import COST
from tests.support.service_account import TOKEN, service_account
from tests.support.services import Process, free_ports
from tests.support.waiting import until
from tests.support.web import serving

PODS = "/api/v1/namespaces/tandem/pods"


class FakeCluster:
    """An API server with two pods, whose status pages it serves as well."""

    def __init__(self) -> None:
        self.pods: dict[str, dict[str, Any]] = {}
        self.calls: dict[str, int | None] = {}
        self.selectors: list[str] = []
        self.told: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.is_down = False

    def add(self, name: str, port: int, calls: int | None, **status: str) -> None:
        """Have a pod whose /metrics tell of so many calls; None: of nothing."""
        self.calls[name] = calls
        self.pods[name] = {
            "metadata": {"name": name, "annotations": {"prometheus.io/port": "1"}},
            "spec": {"containers": [{"ports": [{"name": "status"}]}]},
            "status": {"phase": "Running", "podIP": "127.0.0.1", **status},
        }
        self.pods[name]["spec"]["containers"][0]["ports"][0]["containerPort"] = port

    def cost(self, name: str) -> str | None:
        """Return what has been told of a pod."""
        found: str | None = self.pods[name]["metadata"]["annotations"].get(COST)
        return found

    async def list(self, request: web.Request) -> web.Response:
        self._check(request)
        self.selectors.append(request.query["labelSelector"])
        return web.json_response({"items": list(self.pods.values())})

    async def patch(self, request: web.Request) -> web.Response:
        self._check(request)
        assert request.content_type == "application/merge-patch+json"
        name, change = request.match_info["name"], await request.json()
        assert change.keys() == {"metadata"}
        assert change["metadata"].keys() == {"annotations"}
        (cost,) = change["metadata"]["annotations"].values()
        self.pods[name]["metadata"]["annotations"] |= change["metadata"]["annotations"]
        self.told.put_nowait((name, cost))
        return web.json_response(self.pods[name])

    def _check(self, request: web.Request) -> None:
        if request.headers["Authorization"] != f"Bearer {TOKEN}" or self.is_down:
            raise web.HTTPForbidden

    async def metrics_of(self, name: str) -> web.Response:
        if self.calls[name] is None:
            raise web.HTTPServiceUnavailable
        return web.Response(text=f"tandem_calls {self.calls[name]}\n")


@contextlib.asynccontextmanager
async def a_cluster(folder: Path, **calls: int | None) -> AsyncIterator[FakeCluster]:
    """Run it; `folder` becomes that of the service account."""
    cluster, ports = FakeCluster(), free_ports(len(calls) + 1)
    made = service_account(folder)
    (folder / "port").write_text(str(ports[-1]))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(made.certificate, made.key)
    api = web.Application()
    api.add_routes([web.get(PODS, cluster.list)])
    api.add_routes([web.patch(f"{PODS}/{{name}}", cluster.patch)])
    async with contextlib.AsyncExitStack() as stack:
        for (name, held), port in zip(calls.items(), ports, strict=False):
            cluster.add(name, port, held)
            pod = web.Application()

            async def metrics(_: web.Request, name: str = name) -> web.Response:
                return await cluster.metrics_of(name)

            pod.add_routes([web.get("/metrics", metrics)])
            await stack.enter_async_context(serving(pod, port))
        await stack.enter_async_context(serving(api, ports[-1], tls))
        yield cluster


@contextlib.asynccontextmanager
async def keeping(folder: Path) -> AsyncIterator[Process]:
    """Run what keeps the costs, and see it end with 0."""
    (port,) = free_ports(1)
    process = Process("deploy.deletion_cost", f"http://127.0.0.1:{port}")
    await process.start(
        {
            "PATH": "/usr/bin:/bin",
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": (folder / "port").read_text(),
            "TANDEM_SERVICE_ACCOUNT": str(folder),
            "TANDEM_DELETION_COST_HTTP_PORT": str(port),
        }
    )
    try:
        yield process
    finally:
        assert await process.stop() == 0


@pytest.mark.asyncio
async def test_each_pod_costs_what_it_holds(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, busy=7, idle=0, silent=None) as cluster:
        cluster.add("going", 1, None)
        cluster.pods["going"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        cluster.add("pending", 1, None, phase="Pending")
        async with keeping(tmp_path) as process:
            await process.wait_ready()
            await until(lambda: cluster.told.qsize() == 2)
        told = {cluster.told.get_nowait() for _ in range(cluster.told.qsize())}
        assert told == {("busy", "7"), ("idle", "0")}
        assert cluster.cost("silent") is None
        assert "app.kubernetes.io/part-of=tandem" in cluster.selectors[0]
        assert "going" not in process.log
        assert "pending" not in process.log


@pytest.mark.asyncio
async def test_a_cost_that_is_known_is_not_told_again(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, busy=70) as cluster:
        cluster.pods["busy"]["metadata"]["annotations"][COST] = "68"
        async with keeping(tmp_path) as process:
            await process.wait_ready()
        assert cluster.told.empty()


@pytest.mark.asyncio
async def test_a_cluster_that_refuses_makes_it_not_ready(tmp_path: Path) -> None:
    async with a_cluster(tmp_path, busy=7) as cluster:
        cluster.is_down = True
        async with keeping(tmp_path) as process:
            await until(lambda: "403" in process.log)
            status, reason = await process.readiness()
            assert status == 503
            assert "403" in reason
            assert "costs cannot be kept" in process.log
            assert TOKEN not in process.log
        assert cluster.told.empty()
