"""The relay's settings, from the environment."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from runtime import settings as env, shared
from runtime.logs import Form
from runtime.settings import Address, LinkKeys, SettingsError, setting

BUILTIN = "builtin"
ECHO = "echo"
MAX_ECHO_S = 60.0
"""Longest time after which an echo comes: what was said meanwhile is kept."""

_OPENAI_HOST = "api.openai.com"


def upstream(value: str) -> str:
    """Accept `builtin`, `echo`, `echo:SECONDS` or a ws:// or wss:// URL."""
    if value == BUILTIN or _echo_s(value) is not None:
        return value
    try:
        return env.websocket_url(value)
    except ValueError:
        raise ValueError(
            f"{value!r} is not builtin, echo, echo:SECONDS (up to {MAX_ECHO_S:g})"
            " or a ws:// or wss:// URL"
        ) from None


def _echo_s(upstream: str) -> float | None:
    """Return after how many seconds an upstream echoes; None: it is no echo."""
    name, colon, after = upstream.partition(":")
    if name != ECHO:
        return None
    try:
        after_s = float(after) if colon else 0.0
    except ValueError:
        return None
    return after_s if 0 <= after_s <= MAX_ECHO_S else None


def without_secrets(value: str) -> str:
    """Return an upstream without user, password and query, which may hold a key."""
    parts = urlsplit(value)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="", fragment="").geturl()


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """What the relay reads once, at start."""

    workers: int = setting(
        "TANDEM_RELAY_WORKERS",
        "1",
        env.workers,
        "processes that share the status pages, each with a port of its own from "
        "TANDEM_LINK_PORT on; 0: one a core",
    )
    link_host: str = setting(
        "TANDEM_LINK_HOST", "127.0.0.1", env.host, "where link and tunnel listen"
    )
    link_port: int = setting(
        "TANDEM_LINK_PORT",
        "7000",
        env.port,
        "port of the link (UDP) and of the tunnel (TCP); of several workers, the "
        "first's",
    )
    link_keys: LinkKeys = shared.link_keys()  # noqa: RUF009  # LinkKeys is immutable
    http_host: str = setting(
        "TANDEM_RELAY_HTTP_HOST",
        "127.0.0.1",
        env.host,
        "where the relay's status pages listen",
    )
    http_port: int = setting(
        "TANDEM_RELAY_HTTP_PORT", "8081", env.port, "port of the status pages"
    )
    upstream: str = setting(
        "TANDEM_UPSTREAM",
        BUILTIN,
        upstream,
        "builtin, echo (echo:SECONDS: so much later), or a ws:// or wss:// URL of a "
        "Realtime API",
    )
    engine_host: str = setting(
        "TANDEM_ENGINE_HOST", "127.0.0.1", env.host, "where the built-in engine is"
    )
    engine_port: int = setting(
        "TANDEM_ENGINE_PORT", "8082", env.port, "port of the built-in engine"
    )
    upstream_key: str = setting(
        "TANDEM_UPSTREAM_KEY",
        "",
        env.text,
        "key of the Realtime API; falls back to OPENAI_API_KEY",
        secret=True,
    )
    openai_api_key: str = setting(
        "OPENAI_API_KEY",
        "",
        env.text,
        "used when TANDEM_UPSTREAM_KEY is empty",
        secret=True,
    )
    model: str = setting(
        "TANDEM_MODEL",
        "gpt-realtime",
        env.text,
        "model asked for when the client names none",
    )
    max_call_s: int = setting(
        "TANDEM_MAX_CALL_S",
        "3600",
        env.positive,
        "seconds that a call or a WebSocket session may last",
    )
    admin_port: int | None = setting(
        "TANDEM_RELAY_ADMIN_PORT",
        "",
        env.optional_port,
        "port on 127.0.0.1 for POST /admin/drain and the status pages; empty: none",
    )
    drain_s: int = shared.drain_s()
    log_level: str = shared.log_level()
    log_format: Form = shared.log_format()  # noqa: RUF009  # an enum's member is immutable

    def __post_init__(self) -> None:
        env.check_ports("TANDEM_LINK_PORT", self.link_port, self.workers)
        if urlsplit(self.upstream).hostname == _OPENAI_HOST and not self.key:
            raise SettingsError(
                f"TANDEM_UPSTREAM_KEY: {_OPENAI_HOST} needs a key "
                "(or set OPENAI_API_KEY)"
            )

    @property
    def key(self) -> str:
        """What the upstream is shown; OpenAI's key is none of the engine's business."""
        if self.upstream == BUILTIN:
            return self.upstream_key
        return self.upstream_key or self.openai_api_key

    @property
    def http(self) -> Address:
        """Where the status pages listen."""
        return Address(self.http_host, self.http_port)

    @property
    def engine(self) -> Address:
        """Where the built-in engine listens."""
        return Address(self.engine_host, self.engine_port)

    @property
    def echo_s(self) -> float | None:
        """After how many seconds callers hear themselves; None: it is no echo."""
        return _echo_s(self.upstream)

    @property
    def url(self) -> str:
        """The upstream's URL, without a model; of no use for `echo`."""
        if self.upstream == BUILTIN:
            return f"ws://{self.engine}/v1/realtime"
        return self.upstream
