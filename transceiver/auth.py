"""Who may call: API keys, compared in constant time, named only by a short digest."""

import hashlib
import hmac


class KeyRing:
    """The configured API keys; an empty ring lets everyone in (loopback only)."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._digests = [_digest(key) for key in keys]

    def tenant(self, authorization: str | None) -> str | None:
        """Return the tenant that an Authorization header proves, None for nobody.

        A tenant's name is a short digest of its key: fit for logs and metrics.
        """
        if not self._digests:
            return "open"
        scheme, _, key = (authorization or "").partition(" ")
        presented = _digest(key.strip() if scheme.lower() == "bearer" else "")
        matches = [hmac.compare_digest(presented, known) for known in self._digests]
        return f"key-{presented.hex()[:8]}" if any(matches) else None


def _digest(key: str) -> bytes:
    """Return a key's digest; a header's bytes need not be UTF-8 (aiohttp escapes)."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
