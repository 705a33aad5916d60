"""Settings of the built-in engine, from the environment."""

from dataclasses import dataclass

from runtime import settings as env, shared
from runtime.logs import Form
from runtime.settings import SettingsError, setting


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the engine can be told."""

    host: str = setting(
        "TANDEM_ENGINE_HOST",
        "127.0.0.1",
        env.host,
        "address the built-in engine listens on",
    )
    port: int = setting(
        "TANDEM_ENGINE_PORT", "8082", env.port, "port the built-in engine listens on"
    )
    upstream_key: str = setting(
        "TANDEM_UPSTREAM_KEY",
        "",
        env.text,
        "key asked of clients; empty: any key or none",
        secret=True,
    )
    chat_url: str = setting(
        "TANDEM_CHAT_URL",
        "",
        env.http_url,
        "OpenAI-compatible chat endpoint (its /v1); empty: rule-based replies",
    )
    chat_key: str = setting(
        "TANDEM_CHAT_KEY", "", env.text, "key for the chat endpoint", secret=True
    )
    chat_model: str = setting(
        "TANDEM_CHAT_MODEL", "", env.text, "model asked of the chat endpoint"
    )
    log_level: str = shared.log_level()
    log_format: Form = shared.log_format()  # noqa: RUF009  # an enum's member is immutable

    def __post_init__(self) -> None:
        """Refuse what has no effect.

        Raises:
            SettingsError: A key or a model for a chat endpoint, and no endpoint.
        """
        for name, value in (("KEY", self.chat_key), ("MODEL", self.chat_model)):
            if value and not self.chat_url:
                raise SettingsError(
                    f"TANDEM_CHAT_{name}: has no effect without TANDEM_CHAT_URL"
                )
