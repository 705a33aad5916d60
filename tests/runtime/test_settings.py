"""Settings are read from an environment, or refused with the variable's name."""

import base64
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, strategies as st

from runtime import settings as env
from runtime.cores import available_cores
from runtime.settings import Address, LinkKeys, Row, SettingsError, setting

Parser = Callable[[str], object]

KEY = base64.b64encode(bytes(range(32))).decode()


@dataclass(frozen=True, slots=True)
class Sample:
    port: int = setting("SAMPLE_PORT", "8080", env.port, "where to listen")
    relays: tuple[Address, ...] = setting(
        "SAMPLE_RELAYS", "127.0.0.1:7000", env.addresses, "whom to call"
    )
    key: bytes = setting("SAMPLE_KEY", KEY, env.link_key, "shared", secret=True)


def test_unset_and_blank_variables_take_their_defaults() -> None:
    sample = env.load(Sample, {"SAMPLE_PORT": "  "})
    assert sample.port == 8080
    assert sample.relays == (Address("127.0.0.1", 7000),)


def test_values_are_read_from_the_environment() -> None:
    environ = {"SAMPLE_PORT": "9000", "SAMPLE_RELAYS": "a:1, [::1]:2 ,"}
    sample = env.load(Sample, environ)
    assert sample.port == 9000
    assert sample.relays == (Address("a", 1), Address("::1", 2))
    assert str(sample.relays[1]) == "[::1]:2"


def test_a_refusal_names_the_variable_in_one_line() -> None:
    with pytest.raises(SettingsError) as refusal:
        env.load(Sample, {"SAMPLE_PORT": "http"})
    assert str(refusal.value) == "SAMPLE_PORT: 'http' is not a port (0 to 65535)"


def test_a_secret_is_not_in_the_repr() -> None:
    text = repr(env.load(Sample, {}))
    assert "port=8080" in text
    assert "key" not in text


def test_rows_and_help_show_what_was_declared() -> None:
    assert next(env.rows(Sample)) == Row("SAMPLE_PORT", "8080", "where to listen")
    lines = env.table(Sample).splitlines()
    assert [line.split()[0] for line in lines] == [
        "SAMPLE_PORT",
        "SAMPLE_RELAYS",
        "SAMPLE_KEY",
    ]
    assert lines[0].endswith("where to listen")


@pytest.mark.parametrize(
    ("parse", "value", "result"),
    [
        (env.port, "0", 0),
        (env.port, "65535", 65535),
        (env.positive, "1", 1),
        (env.ip_address, "::1", "::1"),
        (env.optional_ip_address, "", None),
        (env.optional_ip_address, "192.0.2.1", "192.0.2.1"),
        (env.host, "relay.example", "relay.example"),
        (env.host, "::", "::"),
        (env.words, " a , ,b", ("a", "b")),
        (env.addresses, "a:1-2", (Address("a", 1), Address("a", 2))),
        (env.addresses, "[::1]:9-9", (Address("::1", 9),)),
        (env.workers, "1", 1),
        (env.workers, "64", 64),
        (env.log_level, "debug", "DEBUG"),
        (env.link_key, KEY, bytes(range(32))),
        (env.link_keys, KEY, LinkKeys(bytes(range(32)))),
        (env.link_keys, f"{KEY} , {KEY}", LinkKeys(bytes(range(32)), bytes(range(32)))),
        (env.websocket_url, "wss://x/v1", "wss://x/v1"),
        (env.http_url, "", ""),
        (env.http_url, "http://localhost:1", "http://localhost:1"),
    ],
)
def test_good_values_are_accepted(parse: Parser, value: str, result: object) -> None:
    assert parse(value) == result


@pytest.mark.parametrize(
    ("parse", "value"),
    [
        (env.port, "65536"),
        (env.port, "-1"),
        (env.port, ""),
        (env.positive, "0"),
        (env.ip_address, "localhost"),
        (env.host, "a b"),
        (env.host, "http://a"),
        (env.addresses, " , "),
        (env.addresses, "relay"),
        (env.addresses, ":7000"),
        (env.addresses, "relay:0"),
        (env.addresses, "relay:0-3"),
        (env.addresses, "relay:7003-7000"),
        (env.addresses, "relay:7000-"),
        (env.addresses, "relay:-7000"),
        (env.addresses, "relay:7000-7064"),
        (env.addresses, "relay:65535-65536"),
        (env.workers, "65"),
        (env.workers, "-1"),
        (env.workers, "auto"),
        (env.link_keys, ""),
        (env.link_keys, f"{KEY},"),
        (env.link_keys, f",{KEY}"),
        (env.link_keys, f"{KEY},{KEY},{KEY}"),
        (env.log_level, "loud"),
        (env.link_key, ""),
        (env.link_key, "not base64!"),
        (env.link_key, base64.b64encode(bytes(31)).decode()),
        (env.websocket_url, "https://x"),
        (env.websocket_url, "wss://"),
        (env.websocket_url, "ws://x:99999"),
        (env.http_url, "ftp://x"),
    ],
)
def test_bad_values_are_refused(parse: Parser, value: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(value)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (f"{KEY},{KEY},{KEY}", "at most two keys"),
        (f"{KEY},", "second of two keys is empty"),
        (f",{KEY}", "first of two keys is empty"),
    ],
)
def test_it_is_said_what_is_wrong_with_two_keys(value: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        env.link_keys(value)


def test_no_number_of_workers_is_one_a_core() -> None:
    assert env.workers("0") == min(available_cores(), env.MAX_WORKERS)


PARSERS: list[Parser] = [
    env.port,
    env.positive,
    env.ip_address,
    env.optional_ip_address,
    env.host,
    env.words,
    env.addresses,
    env.workers,
    env.link_key,
    env.link_keys,
    env.log_level,
    env.websocket_url,
    env.http_url,
]


@given(st.sampled_from(PARSERS), st.text())
def test_any_text_is_read_or_refused(parse: Parser, value: str) -> None:
    with contextlib.suppress(ValueError):
        parse(value)
