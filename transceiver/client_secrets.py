"""Client secrets: short-lived keys that a server mints for its own clients."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class ClientSecret(NamedTuple):
    """What an `ek_` proves.

    Attributes:
        tenant: Whose API key minted it.
        expires_at_s: Unix time after which it opens nothing new.
        session: The session that it opens; empty for the defaults.
        locked: The client cannot override what `session` sets.
    """

    tenant: str
    expires_at_s: int
    session: Mapping[str, Any]
    locked: bool
