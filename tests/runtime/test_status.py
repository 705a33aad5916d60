"""The status pages tell alive from ready."""

import asyncio
import json
from typing import cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from prometheus_client import CollectorRegistry, Counter

from runtime import status
from runtime.siblings import Siblings


async def page(
    path: str,
    reason_not_ready: str | None = None,
    siblings: Siblings | None = None,
) -> web.Response:
    registry = CollectorRegistry()
    Counter("calls", "calls so far", registry=registry).inc(3)
    routes = status.routes(registry, lambda: reason_not_ready, siblings)
    handler = next(route.handler for route in routes if route.path == path)
    return cast(web.Response, await handler(make_mocked_request("GET", path)))


def body(response: web.Response) -> str:
    assert isinstance(response.body, bytes)
    return response.body.decode()


@pytest.mark.asyncio
async def test_a_service_that_takes_no_calls_is_alive_but_not_ready() -> None:
    assert (await page("/healthz", "draining")).status == 200
    ready = await page("/readyz", "draining")
    assert ready.status == 503
    assert json.loads(body(ready)) == {"status": "not ready", "reason": "draining"}


@pytest.mark.asyncio
async def test_a_service_without_a_reason_is_ready() -> None:
    assert (await page("/readyz")).status == 200


class Others:
    """Siblings of which one says it is ready, or all hang."""

    def __init__(self, *, is_ready: bool) -> None:
        self._is_ready = is_ready

    async def one_answers(self, name: str, wanted: bytes) -> bool:
        assert (name, wanted) == ("ready", b"ready")
        if not self._is_ready:
            await asyncio.Event().wait()
        return True


@pytest.mark.asyncio
async def test_a_worker_that_takes_no_calls_is_ready_if_another_takes_them() -> None:
    others = cast(Siblings, Others(is_ready=True))
    assert (await page("/readyz", "no relay", others)).status == 200


@pytest.mark.asyncio
async def test_siblings_that_hang_do_not_keep_a_probe_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(status, "READY_S", 0.01)
    others = cast(Siblings, Others(is_ready=False))
    assert (await page("/readyz", "no relay", others)).status == 503


@pytest.mark.asyncio
async def test_metrics_are_those_of_the_registry() -> None:
    response = await page("/metrics")
    assert "calls_total 3.0" in body(response)
    assert response.headers["Content-Type"].startswith("text/plain")


def test_strangers_may_see_no_more_than_alive_and_ready() -> None:
    pages = status.routes(CollectorRegistry(), lambda: None)
    assert {page.path for page in status.probes(pages)} == {"/healthz", "/readyz"}
