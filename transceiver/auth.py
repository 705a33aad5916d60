"""Who may call: API keys, compared in constant time, named only by a short digest."""

import hashlib
import hmac
from typing import NamedTuple

from transceiver.client_secrets import ClientSecret


class Unauthorized(Exception):  # noqa: N818  # reads as what happened
    """The key is missing or wrong; the message never says which."""


class Caller(NamedTuple):
    """Who presented a key.

    Attributes:
        tenant: A short digest of the API key, fit for logs and metrics.
        secret: Set for a client secret: it may open calls and WebSocket sessions only.
    """

    tenant: str
    secret: ClientSecret | None


class KeyRing:
    """The configured API keys; an empty ring lets everyone in (loopback only)."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._digests = [_digest(key) for key in keys]

    def identify(self, key: str | None) -> Caller:
        """Return who presented the key.

        Raises:
            Unauthorized: Nobody that we know.
        """
        if not self._digests:
            return Caller("open", None)
        presented = _digest(key or "")
        matches = [hmac.compare_digest(presented, known) for known in self._digests]
        if not any(matches):
            raise Unauthorized("the API key is missing or wrong")
        return Caller(f"key-{presented.hex()[:8]}", None)


def bearer(authorization: str | None) -> str | None:
    """Return the key of an Authorization header (RFC 6750), None if it has none."""
    scheme, _, key = (authorization or "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


def _digest(key: str) -> bytes:
    """Return a key's digest; a header's bytes need not be UTF-8 (aiohttp escapes)."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
