"""Routes: ICE username fragments that name the owner of a call to forwarders alone.

    ufrag = base64 of AES-SIV of owner's address (4 or 16) | its port (2) | random (5)

36 characters for IPv4, 52 for IPv6, all ice-char (RFC 8839 section 5.4), no padding.
AES-SIV (RFC 5297) makes of it a tag of 16 bytes and a text that says nothing of the
cluster's addresses; the same key opens it, and who has no link key can make none. A
transceiver's worker has a port of its own, so address and port name the worker.
"""

import base64
import secrets
from ipaddress import ip_address
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from transceiver.ingress.endpoint import ENDPOINT_BYTES, MAPPED, Endpoint, pack

_INFO: Final = b"tandem ingress route 1"
_KEY_BYTES: Final = 64  # AES-256-SIV takes two keys
_RANDOM_BYTES: Final = 5

SHORT: Final = 36
"""Characters of a route to an IPv4 address."""

LONG: Final = 52
"""Characters of a route to an IPv6 address."""


class Routes:
    """Mints and opens routes.

    Args:
        link_key: The pre-shared key of the cluster's links; routes are minted under it.
        other_key: A second one, under which they may have been minted, too.
    """

    def __init__(self, link_key: bytes, other_key: bytes | None = None) -> None:
        keys = [key for key in (link_key, other_key) if key is not None]
        self._keys = [
            AESSIV(HKDF(SHA256(), _KEY_BYTES, None, _INFO).derive(key)) for key in keys
        ]

    def mint(self, owner: Endpoint) -> str:
        """Return a fresh ufrag for a call of this owner."""
        packed = pack(owner)
        if ip_address(owner[0]).version == 4:
            packed = packed[12:]
        sealed = self._keys[0].encrypt(
            packed + secrets.token_bytes(_RANDOM_BYTES), None
        )
        return base64.b64encode(sealed).decode()

    def owner(self, ufrag: str) -> bytes | None:
        """Return the packed endpoint that a ufrag names; None: not one of ours."""
        if len(ufrag) not in {SHORT, LONG}:
            return None
        try:
            sealed = base64.b64decode(ufrag, validate=True)
        except ValueError:  # binascii.Error, or a character beyond ASCII
            return None
        for key in self._keys:
            try:
                opened = key.decrypt(sealed, None)
            except (InvalidTag, ValueError):  # ValueError: padding made it too short
                continue
            return _widened(opened[:-_RANDOM_BYTES])
        return None


def _widened(packed: bytes) -> bytes:
    return packed if len(packed) == ENDPOINT_BYTES else MAPPED + packed
