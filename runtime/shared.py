"""Settings that several services read: each declared once, with one meaning."""

from typing import Any

from runtime import settings as env
from runtime.settings import setting


def link_keys() -> Any:
    """Declare the keys of the link."""
    return setting(
        "TANDEM_LINK_KEY",
        "",
        env.link_keys,
        "pre-shared key of the link, base64 of at least 32 bytes; a second one after a "
        "comma is accepted too; required",
        secret=True,
    )


def drain_s() -> Any:
    """Declare how long a drain may last."""
    return setting(
        "TANDEM_DRAIN_S",
        "0",
        env.whole,
        "seconds that live calls and sessions get to end after SIGTERM; whatever sends "
        "it must wait longer before it kills; 0: they end at once",
    )


def log_level() -> Any:
    """Declare from which level on there are log lines."""
    return setting(
        "TANDEM_LOG_LEVEL", "info", env.log_level, "debug, info, warning or error"
    )


def log_format() -> Any:
    """Declare how log lines are written."""
    return setting(
        "TANDEM_LOG_FORMAT",
        "text",
        env.log_format,
        "text, or json: one object a line",
    )
