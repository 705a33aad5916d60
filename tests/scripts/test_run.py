"""What `make run` decides before it starts anything."""

import base64
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


def test_port_0_is_refused_for_no_page_could_be_named() -> None:
    with pytest.raises(SettingsError, match=r"^TANDEM_HTTP_PORT: 0"):
        run.refuse_taken(
            [run.Port(socket.SOCK_STREAM, "127.0.0.1", 0, "TANDEM_HTTP_PORT")]
        )
