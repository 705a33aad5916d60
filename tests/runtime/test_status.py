"""The status pages tell alive from ready."""

import json
from typing import cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from prometheus_client import CollectorRegistry, Counter

from runtime import status


async def page(path: str, reason_not_ready: str | None = None) -> web.Response:
    registry = CollectorRegistry()
    Counter("calls", "calls so far", registry=registry).inc(3)
    routes = status.routes(registry, lambda: reason_not_ready)
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


@pytest.mark.asyncio
async def test_metrics_are_those_of_the_registry() -> None:
    response = await page("/metrics")
    assert "calls_total 3.0" in body(response)
    assert response.headers["Content-Type"].startswith("text/plain")


def test_strangers_may_see_no_more_than_alive_and_ready() -> None:
    pages = status.routes(CollectorRegistry(), lambda: None)
    assert {page.path for page in status.probes(pages)} == {"/healthz", "/readyz"}
