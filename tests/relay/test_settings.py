"""The relay's settings and their one rule across fields."""

import base64

import pytest

from relay.settings import RelaySettings, without_secrets
from runtime import settings as environment
from runtime.settings import SettingsError

KEY = base64.b64encode(bytes(32)).decode()
OPENAI = "wss://api.openai.com/v1/realtime"


def load(**environ: str) -> RelaySettings:
    return environment.load(RelaySettings, {"TANDEM_LINK_KEY": KEY, **environ})


def test_the_defaults_are_the_builtin_engine_on_loopback() -> None:
    settings = load()
    assert settings.url == "ws://127.0.0.1:8082/v1/realtime"
    assert (settings.link_host, settings.link_port) == ("127.0.0.1", 7000)
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 8081)
    assert settings.key == ""


@pytest.mark.parametrize(
    "upstream",
    ["http://x", "wss://", "openai", "echo://", "echo:", "echo:-1", "echo:61"],
)
def test_a_wrong_upstream_is_refused_by_name(upstream: str) -> None:
    with pytest.raises(SettingsError, match=r"^TANDEM_UPSTREAM: .*builtin, echo"):
        load(TANDEM_UPSTREAM=upstream)


@pytest.mark.parametrize(
    ("upstream", "shown"),
    [
        ("builtin", "builtin"),
        ("echo", "echo"),
        (OPENAI, OPENAI),
        ("ws://user:sk-1@host:9/v1?api-key=sk-2&model=m#sk-3", "ws://host:9/v1"),
        ("wss://sk-1@[::1]/v1", "wss://[::1]/v1"),
    ],
)
def test_what_may_hold_a_key_is_not_shown(upstream: str, shown: str) -> None:
    assert (
        without_secrets(load(TANDEM_UPSTREAM=upstream, OPENAI_API_KEY="a").upstream)
        == shown
    )


@pytest.mark.parametrize(
    ("upstream", "after_s"),
    [("builtin", None), (OPENAI, None), ("echo", 0.0), ("echo:2.5", 2.5)],
)
def test_an_echo_comes_when_it_is_asked_for(
    upstream: str, after_s: float | None
) -> None:
    assert load(TANDEM_UPSTREAM=upstream, OPENAI_API_KEY="a").echo_s == after_s


def test_openai_needs_a_key() -> None:
    with pytest.raises(SettingsError, match=r"^TANDEM_UPSTREAM_KEY: .*OPENAI_API_KEY"):
        load(TANDEM_UPSTREAM=OPENAI)


def test_openais_own_variable_is_the_fallback() -> None:
    assert load(TANDEM_UPSTREAM=OPENAI, OPENAI_API_KEY="sk-a").key == "sk-a"
    both = load(TANDEM_UPSTREAM=OPENAI, OPENAI_API_KEY="a", TANDEM_UPSTREAM_KEY="b")
    assert both.key == "b"


def test_openais_key_is_not_shown_to_the_builtin_engine() -> None:
    assert load(OPENAI_API_KEY="sk-a").key == ""


def test_keys_do_not_show_in_the_settings_text() -> None:
    settings = load(OPENAI_API_KEY="sk-secret")
    assert "sk-secret" not in repr(settings)


def test_a_link_key_is_required() -> None:
    with pytest.raises(SettingsError, match=r"^TANDEM_LINK_KEY"):
        environment.load(RelaySettings, {})


@pytest.mark.parametrize(
    "environ", [{"TANDEM_LINK_PORT": "0"}, {"TANDEM_LINK_PORT": "65534"}]
)
def test_each_worker_needs_a_port(environ: dict[str, str]) -> None:
    assert load(TANDEM_RELAY_WORKERS="1", **environ).workers == 1
    with pytest.raises(SettingsError, match=r"^TANDEM_LINK_PORT: .*workers"):
        load(TANDEM_RELAY_WORKERS="3", **environ)
