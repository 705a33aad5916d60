"""Who may call: API keys, and the client secrets that their owners mint.

Keys are compared in constant time and named only by a short digest. All that is not a
key is refused with the same words; only who shows an authentic client secret of a
tenant that is still configured learns that it has expired.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import NamedTuple

from transceiver.client_secrets import (
    BadSecret,
    ClientSecret,
    ClientSecrets,
    is_client_secret,
)

OPEN_TENANT = "open"
"""Who everybody is while no keys are configured."""


class Unauthorized(Exception):  # noqa: N818  # reads as what happened
    """The key opens nothing; the message is fit for the client."""


class Caller(NamedTuple):
    """Who presented a key.

    Attributes:
        tenant: A short digest of the API key, fit for logs and metrics.
        secret: Set for a client secret: it may open calls and WebSocket sessions only.
    """

    tenant: str
    secret: ClientSecret | None


def tenants_of(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Return who may call with these keys; without any, everybody is one."""
    return tuple(_tenant(_digest(key)) for key in keys) or (OPEN_TENANT,)


class KeyRing:
    """The configured API keys; an empty ring lets everyone in (loopback only).

    Args:
        keys: The API keys.
        secrets: Opens client secrets.
        wall_s: Tells Unix time.
    """

    def __init__(
        self, keys: tuple[str, ...], secrets: ClientSecrets, wall_s: Callable[[], float]
    ) -> None:
        self._digests = [_digest(key) for key in keys]
        self._tenants = {*tenants_of(keys)}
        self._secrets = secrets
        self._wall_s = wall_s

    def identify(self, key: str | None) -> Caller:
        """Return who presented the key; in an open ring a client secret must be good.

        Raises:
            Unauthorized: Nobody that we know.
        """
        if key is not None and is_client_secret(key):
            return self._bearer_of(key)
        if not self._digests:
            return Caller(OPEN_TENANT, None)
        presented = _digest(key or "")
        matches = [hmac.compare_digest(presented, known) for known in self._digests]
        if not any(matches):
            raise _unknown()
        return Caller(_tenant(presented), None)

    def _bearer_of(self, minted: str) -> Caller:
        try:
            secret = self._secrets.open(minted)
        except BadSecret:
            raise _unknown() from None
        if secret.tenant not in self._tenants:
            raise _unknown()
        if self._wall_s() >= secret.expires_at_s:
            raise Unauthorized("the client secret has expired")
        return Caller(secret.tenant, secret)


def bearer(authorization: str | None) -> str | None:
    """Return the key of an Authorization header (RFC 6750), None if it has none."""
    scheme, _, key = (authorization or "").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


def _unknown() -> Unauthorized:
    return Unauthorized("the API key is missing or wrong")


def _tenant(digest: bytes) -> str:
    """Return a tenant's name: 64 bits, for whose call it is hangs on it."""
    return f"key-{digest.hex()[:16]}"


def _digest(key: str) -> bytes:
    """Return a key's digest; a header's bytes need not be UTF-8 (aiohttp escapes)."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
