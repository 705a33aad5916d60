"""Settings from environment variables: declared once, validated once.

A service declares a frozen dataclass whose fields come from `setting()`; `load()` turns
an environment into one, or raises `SettingsError` with one line naming the variable.
The same declarations make `--help` and are checked against the README's table.
"""

import base64
import binascii
import dataclasses
import ipaddress
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from runtime import logs
from runtime.cores import available_cores

T = TypeVar("T")

LINK_KEY_MIN_BYTES = 32
"""Bytes of entropy asked of the pre-shared key (as RFC 9257 section 6 advises)."""


MAX_WORKERS = 64
"""Processes of one service, each with a port of its own."""


class SettingsError(Exception):
    """A variable holds a value that cannot be used; the message names it."""


class Address(NamedTuple):
    """A host and a UDP or TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class LinkKeys(NamedTuple):
    """The cluster's pre-shared key, and a second one while keys are changed.

    Attributes:
        key: Links and tunnels are dialled with it, client secrets minted under it.
        other: Accepted as well, wherever `key` is.
    """

    key: bytes
    other: bytes | None = None


class Row(NamedTuple):
    """One documented setting: variable, default as written, meaning."""

    variable: str
    default: str
    meaning: str


def setting(
    variable: str,
    default: str,
    parse: Callable[[str], Any],
    help: str,
    *,
    secret: bool = False,
) -> Any:
    """Declare a dataclass field read from an environment variable.

    A secret is left out of the settings' repr, so that none gets into a log.
    """
    return dataclasses.field(
        metadata={"row": Row(variable, default, help), "parse": parse}, repr=not secret
    )


def rows(settings: type[Any]) -> Iterator[Row]:
    """Yield the documented settings of a settings class, in order."""
    for field in dataclasses.fields(settings):
        yield field.metadata["row"]


def load(settings: type[T], environ: Mapping[str, str]) -> T:
    """Read a settings class from an environment.

    Unset and empty variables take their default.

    Raises:
        SettingsError: A value is not usable.
    """
    values: dict[str, Any] = {}
    for field in dataclasses.fields(settings):  # type: ignore[arg-type]  # a dataclass
        row: Row = field.metadata["row"]
        text = environ.get(row.variable, "").strip() or row.default
        try:
            values[field.name] = field.metadata["parse"](text)
        except ValueError as error:
            raise SettingsError(f"{row.variable}: {error}") from None
    return settings(**values)


def table(settings: type[Any]) -> str:
    """Return the settings as aligned text for `--help`."""
    lines = [
        (row.variable, row.default or "(empty)", row.meaning) for row in rows(settings)
    ]
    widths = [max(len(line[column]) for line in lines) for column in (0, 1)]
    return "\n".join(
        f"  {name:{widths[0]}}  {default:{widths[1]}}  {meaning}"
        for name, default, meaning in lines
    )


def text(value: str) -> str:
    """Accept any text."""
    return value


def port(value: str) -> int:
    """Accept a port; 0 lets the system choose."""
    if not value.isdecimal() or int(value) > 65535:
        raise ValueError(f"{value!r} is not a port (0 to 65535)")
    return int(value)


def optional_port(value: str) -> int | None:
    """Accept a port, or nothing."""
    if value == "0":
        raise ValueError("'0' is not a port to be found at")
    return port(value) if value else None


def whole(value: str) -> int:
    """Accept a whole number, zero too."""
    if not value.isdecimal():
        raise ValueError(f"{value!r} is not a whole number")
    return int(value)


def positive(value: str) -> int:
    """Accept a whole number above zero."""
    if not value.isdecimal() or int(value) == 0:
        raise ValueError(f"{value!r} is not a whole number above zero")
    return int(value)


def ip_address(value: str) -> str:
    """Accept an IP address in text."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(f"{value!r} is not an IP address") from None


def optional_ip_address(value: str) -> str | None:
    """Accept an IP address, or nothing."""
    return ip_address(value) if value else None


def host(value: str) -> str:
    """Accept a host name or an IP address to listen on."""
    if any(character.isspace() or character in "/:@" for character in value):
        return ip_address(value)
    return value


def workers(value: str) -> int:
    """Accept a number of workers; 0 stands for one a core."""
    count = whole(value) or min(available_cores(), MAX_WORKERS)
    if count > MAX_WORKERS:
        raise ValueError(f"{count} are more than {MAX_WORKERS} workers")
    return count


def words(value: str) -> tuple[str, ...]:
    """Accept a comma-separated list; blanks around and between are dropped."""
    return tuple(word.strip() for word in value.split(",") if word.strip())


def addresses(value: str) -> tuple[Address, ...]:
    """Accept a comma-separated list of host:port, or host:first-last for each port."""
    found = tuple(each for word in words(value) for each in _addresses(word))
    if not found:
        raise ValueError("at least one host:port is needed")
    return found


def regions(value: str) -> tuple[tuple[Address, ...], ...]:
    """Accept lists of host:port with semicolons between."""
    return tuple(addresses(part) for part in value.split(";"))


def _addresses(word: str) -> Iterator[Address]:
    name, colon, ports = word.rpartition(":")
    first, dash, last = ports.partition("-")
    if not colon or not name:
        raise ValueError(f"{word!r} is not host:port or host:first-last")
    lowest, highest = port(first), port(last if dash else first)
    if not 0 < lowest <= highest < lowest + MAX_WORKERS:
        raise ValueError(f"{ports!r} is no port or range of up to {MAX_WORKERS}")
    for number in range(lowest, highest + 1):
        yield Address(host(name.strip("[]")), number)


def link_key(value: str) -> bytes:
    """Accept base64 of at least 32 bytes."""
    if not value:
        raise ValueError(
            "is not set (base64 of 32 random bytes: openssl rand -base64 32)"
        )
    try:
        key = base64.b64decode(value, validate=True)
    except binascii.Error:
        raise ValueError("is not base64") from None
    if len(key) < LINK_KEY_MIN_BYTES:
        raise ValueError(
            f"holds {len(key)} bytes, at least {LINK_KEY_MIN_BYTES} needed"
        )
    return key


def link_keys(value: str) -> LinkKeys:
    """Accept one link key, or two with a comma between."""
    given = [word.strip() for word in value.split(",")]
    if len(given) > 2:
        raise ValueError("at most two keys can be given")
    if len(given) == 2 and not all(given):
        raise ValueError(
            f"the {'second' if given[0] else 'first'} of two keys is empty"
        )
    return LinkKeys(*map(link_key, given))


def log_level(value: str) -> str:
    """Accept the name of a logging level."""
    if value.upper() not in logging.getLevelNamesMapping():
        raise ValueError(f"{value!r} is not one of debug, info, warning, error")
    return value.upper()


def log_format(value: str) -> logs.Form:
    """Accept the name of a form that log lines have."""
    try:
        return logs.Form(value.lower())
    except ValueError:
        raise ValueError(f"{value!r} is not one of text, json") from None


def websocket_url(value: str) -> str:
    """Accept a ws:// or wss:// URL."""
    parts = urlsplit(value)
    if parts.scheme not in {"ws", "wss"} or not parts.hostname or parts.port == 0:
        raise ValueError(f"{value!r} is not a ws:// or wss:// URL")
    return value


def http_url(value: str) -> str:
    """Accept an http:// or https:// URL, or nothing."""
    parts = urlsplit(value)
    usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    if value and not usable:
        raise ValueError(f"{value!r} is not an http:// or https:// URL")
    return value


def check_ports(variable: str, first: int, workers: int) -> None:
    """Refuse a first port that leaves workers without one each.

    Raises:
        SettingsError: It does.
    """
    if workers > 1 and first == 0:
        raise SettingsError(f"{variable}: several workers need a port, not 0")
    if first + workers - 1 > 65535:
        raise SettingsError(f"{variable}: {workers} workers need ports beyond 65535")
