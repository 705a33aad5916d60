"""What `make run` decides before it starts anything."""

import asyncio
import base64
import logging
import socket

import pytest

from runtime import settings as env
from runtime.settings import SettingsError
from scripts import run


def settings(**environ: str) -> run.RunSettings:
    return env.load(run.RunSettings, run.completed(environ))


def test_without_a_key_the_built_in_engine_is_run() -> None:
    modules = [service.module for service in run.services(settings())]
    assert modules == ["relay.engine", "relay", "transceiver"]


def test_with_a_key_openai_is_the_upstream() -> None:
    chosen = settings(OPENAI_API_KEY="sk-1")
    assert chosen.upstream == run.OPENAI
    assert [s.module for s in run.services(chosen)] == ["relay", "transceiver"]


@pytest.mark.parametrize("upstream", ["builtin", "echo", "ws://other/v1/realtime"])
def test_an_upstream_that_was_chosen_stays(upstream: str) -> None:
    chosen = settings(OPENAI_API_KEY="sk-1", TANDEM_UPSTREAM=upstream)
    assert chosen.upstream == upstream


def test_each_run_has_a_link_key_of_its_own() -> None:
    first, second = run.completed({}), run.completed({"TANDEM_LINK_KEY": " "})
    assert len(base64.b64decode(first["TANDEM_LINK_KEY"])) == 32
    assert first["TANDEM_LINK_KEY"] != second["TANDEM_LINK_KEY"]
    assert run.completed({"TANDEM_LINK_KEY": "mine"})["TANDEM_LINK_KEY"] == "mine"


def test_the_transceiver_follows_the_relay_s_link() -> None:
    assert run.completed({"TANDEM_LINK_PORT": "7100"})["TANDEM_RELAYS"] == (
        "127.0.0.1:7100"
    )


def test_with_workers_each_has_a_port_of_its_own() -> None:
    environ = {"TANDEM_WORKERS": "3", "TANDEM_RELAY_WORKERS": "2"}
    assert run.completed(environ)["TANDEM_RELAYS"] == "127.0.0.1:7000-7001"
    wanted = run.ports(settings(**environ))
    numbers = [port.number for port in wanted if port.kind is socket.SOCK_DGRAM]
    assert numbers == [7000, 7001, 3478, 3479, 3480]


@pytest.mark.parametrize("count", ["many", "65"])
def test_a_wrong_number_of_workers_is_said_by_name(count: str) -> None:
    with pytest.raises(SettingsError, match=r"^TANDEM_RELAY_WORKERS: "):
        settings(TANDEM_RELAY_WORKERS=count)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://localhost:8080"),
        ("0.0.0.0", "http://localhost:8080"),
        ("::", "http://localhost:8080"),
        ("192.0.2.7", "http://192.0.2.7:8080"),
        ("2001:db8::7", "http://[2001:db8::7]:8080"),
    ],
)
def test_the_address_can_be_opened_in_a_browser(host: str, address: str) -> None:
    assert run.page_address(settings(TANDEM_HTTP_HOST=host)) == address


def test_with_a_certificate_all_is_asked_and_announced_over_https() -> None:
    chosen = settings(TANDEM_TLS_CERTIFICATE="edge.pem", TANDEM_UPSTREAM="echo")
    relay, transceiver = run.services(chosen)
    assert relay.ready_url.startswith("http://")
    assert transceiver.ready_url == "https://127.0.0.1:8080/readyz"
    assert run.page_address(chosen) == "https://localhost:8080"


@pytest.mark.parametrize("upstream", ["builtin", "echo"])
def test_ready_is_said_of_all_that_is_run_here(upstream: str) -> None:
    line = run.announcement(settings(TANDEM_UPSTREAM=upstream))
    assert line == "Tandem is ready: open http://localhost:8080"


def test_of_an_upstream_elsewhere_it_is_said_that_nobody_has_asked_it_yet() -> None:
    assert run.announcement(settings(OPENAI_API_KEY="sk-1")) == (
        "Tandem is ready: open http://localhost:8080 "
        "(wss://api.openai.com/v1/realtime is first asked when a call begins)"
    )
    line = run.announcement(settings(TANDEM_UPSTREAM="ws://user:secret@host:9/v1?k=s"))
    assert "(ws://host:9/v1 is first asked" in line


@pytest.mark.asyncio
async def test_who_is_never_ready_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def is_ready(_: object, url: str) -> bool:
        return url == relay.ready_url

    relay, transceiver = run.services(settings(TANDEM_UPSTREAM="echo"))
    monkeypatch.setattr(run, "_is_ready", is_ready)
    monkeypatch.setattr(run, "READY_S", 0.01)
    with caplog.at_level(logging.ERROR):
        assert not await run._all_ready([relay, transceiver], asyncio.Event(), [])
    (entry,) = caplog.records
    assert vars(entry)["service"] == "transceiver"
    assert vars(entry)["url"] == transceiver.ready_url


def test_port_0_is_refused_for_no_page_could_be_named() -> None:
    with pytest.raises(SettingsError, match=r"^TANDEM_HTTP_PORT: 0"):
        run.refuse_taken(
            [run.Port(socket.SOCK_STREAM, "127.0.0.1", 0, "TANDEM_HTTP_PORT")]
        )
