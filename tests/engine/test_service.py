"""Who is let in, and the settings."""

import asyncio
from random import Random
from typing import Any, cast
from unittest import mock

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from prometheus_client import CollectorRegistry

from relay.engine.connection import Parts
from relay.engine.ids import Ids
from relay.engine.service import MAX_SESSIONS, Engine, new_core
from relay.engine.settings import EngineSettings
from runtime.settings import SettingsError, load
from tests.support.leaving import UPGRADE, left_during

PATH = "/v1/realtime"


def refusal(key: str, headers: dict[str, str]) -> web.Response | None:
    """Return how an engine that asks for a key refuses a request."""
    engine = Engine(cast("Parts", None), CollectorRegistry(), key)
    return engine.refusal(make_mocked_request("GET", "/v1/realtime", headers))


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer anything"}])
def test_without_a_key_of_its_own_any_key_is_accepted(headers: dict[str, str]) -> None:
    assert refusal("", {**UPGRADE, **headers}) is None


def test_its_own_key_is_accepted() -> None:
    assert refusal("sk", {**UPGRADE, "Authorization": "Bearer sk"}) is None


@pytest.mark.parametrize("given", [None, "Bearer no", "Basic sk", "sk", "Bearer "])
def test_any_other_key_is_refused(given: str | None) -> None:
    headers = dict(UPGRADE) if given is None else {**UPGRADE, "Authorization": given}
    response = refusal("sk", headers)
    assert response is not None
    assert response.status == 401
    assert body_of(response)["code"] == "invalid_api_key"


def test_a_request_that_is_no_upgrade_is_refused() -> None:
    response = refusal("", {})
    assert response is not None
    assert (response.status, body_of(response)["code"]) == (400, "websocket_required")


def door(engine: Engine) -> Any:
    """Return what serves an engine's WebSocket."""
    (route,) = [
        route
        for route in engine.app().router.routes()
        if route.method == "GET" and route.get_info().get("path") == PATH
    ]
    return route.handler


@pytest.mark.asyncio
async def test_who_leaves_during_the_upgrade_leaves_nothing_behind() -> None:
    registry = CollectorRegistry()
    enter = door(Engine(cast("Parts", None), registry))
    response = await enter(left_during(PATH))
    assert not response.prepared
    assert registry.get_sample_value("tandem_engine_sessions") == 0


@pytest.mark.asyncio
async def test_upgrades_that_are_simultaneous_keep_to_the_bound() -> None:
    async def hold(*_: object) -> None:
        await asyncio.Event().wait()

    enter = door(Engine(cast("Parts", None), CollectorRegistry()))
    writer = mock.Mock(write_headers=hold)
    upgrades = [
        asyncio.create_task(
            enter(make_mocked_request("GET", PATH, UPGRADE, writer=writer))
        )
        for _ in range(MAX_SESSIONS + 1)
    ]
    done, waiting = await asyncio.wait(upgrades, return_when="FIRST_COMPLETED")
    assert [task.result().status for task in done] == [503]
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


def body_of(response: web.Response) -> dict[str, Any]:
    """Return the error of a refusal."""
    assert isinstance(response.body, bytes)
    error: dict[str, Any] = orjson.loads(response.body)["error"]
    return error


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ({"model": "gpt-realtime"}, "realtime"),
        ({"intent": "transcription"}, "transcription"),
        ({"intent": "transcription", "model": "gpt-realtime"}, "transcription"),
        ({"intent": "conversation"}, "realtime"),
        ({}, "realtime"),
    ],
)
def test_the_url_says_what_a_session_is_for(query: dict[str, str], kind: str) -> None:
    created = new_core(Ids(Random(3)), query).outbox.take_event()
    assert created is not None
    assert created["session"]["type"] == kind


def test_the_settings_have_their_defaults() -> None:
    settings = load(EngineSettings, {})
    assert (settings.host, settings.port) == ("127.0.0.1", 8082)
    assert (settings.chat_url, settings.upstream_key) == ("", "")


def test_a_wrong_setting_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="TANDEM_CHAT_URL"):
        load(EngineSettings, {"TANDEM_CHAT_URL": "chat.example"})


@pytest.mark.parametrize("variable", ["TANDEM_CHAT_KEY", "TANDEM_CHAT_MODEL"])
def test_a_chat_setting_without_the_endpoint_is_refused(variable: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}: .* TANDEM_CHAT_URL"):
        load(EngineSettings, {variable: "canary"})
    environ = {variable: "canary", "TANDEM_CHAT_URL": "http://localhost:11434/v1"}
    assert load(EngineSettings, environ).chat_url == "http://localhost:11434/v1"
