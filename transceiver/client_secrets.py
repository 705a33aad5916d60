"""Client secrets: short-lived keys that a server mints for its own clients.

A secret is its own record. Any edge with the cluster's link key opens it; nobody else
can make one, or read the prompt inside.

    ek_  base64url of  salt (16) | AES-256-GCM of  zlib of  JSON
    JSON is [tenant, expires_at_s, session, locked]
Each secret has a key of its own, HKDF-SHA256(link key, salt): so the nonce can be zero,
and how many are minted under one link key is no matter.
"""

import base64
import os
import zlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PREFIX: Final = "ek_"

MAX_CHARACTERS: Final = 8_000
"""Longest secret minted or taken: with its scheme it fits the 8 KiB that proxies give a
header line."""

MAX_JSON_BYTES: Final = 256 * 1024
"""Longest content, unpacked: what the link carries in one request."""

_SALT_BYTES: Final = 16
_NONCE: Final = bytes(12)
_LABEL: Final = b"tandem client secret 1"


class BadSecret(Exception):  # noqa: N818  # reads as what it is
    """It was not minted under this key, or was changed since."""


class TooLong(Exception):  # noqa: N818  # reads as what happened
    """The session does not fit into a secret."""


class ClientSecret(NamedTuple):
    """What an `ek_` proves.

    Attributes:
        tenant: Whose API key minted it.
        expires_at_s: Unix time from which on it opens nothing new.
        session: The session that it opens, in the GA shape.
        locked: The client cannot override what `session` sets.
    """

    tenant: str
    expires_at_s: int
    session: Mapping[str, Any]
    locked: bool


class ClientSecrets:
    """Mints and opens client secrets.

    Args:
        link_key: The pre-shared key of the cluster's links.
        other_key: A second one, under which they may have been minted, too.
    """

    def __init__(self, link_key: bytes, other_key: bytes | None = None) -> None:
        self._link_key = link_key
        self._other_key = other_key

    def mint(self, secret: ClientSecret) -> str:
        """Return the secret in its `ek_` form.

        Raises:
            TooLong: The session does not fit.
        """
        content = orjson.dumps(list(secret))
        if len(content) > MAX_JSON_BYTES:
            raise TooLong
        salt = os.urandom(_SALT_BYTES)
        sealed = _key(self._link_key, salt).encrypt(
            _NONCE, zlib.compress(content, 9), None
        )
        minted = PREFIX + _encode(salt + sealed)
        if len(minted) > MAX_CHARACTERS:
            raise TooLong
        return minted

    def open(self, minted: str) -> ClientSecret:
        """Return what a secret says, be it expired or not.

        What it is refused for before it proved authentic depends on its form alone, and
        its tag is compared in constant time.

        Raises:
            BadSecret: It is not one of ours.
        """
        data = _decode(minted)
        packed = _unseal(self._link_key, data)
        if packed is None and self._other_key is not None:
            packed = _unseal(self._other_key, data)
        if packed is None:
            raise BadSecret
        return ClientSecret(*orjson.loads(_unpack(packed)))


def _unseal(link_key: bytes, data: bytes) -> bytes | None:
    """Return what was sealed under a key; None: it was not, or was changed since."""
    salt, sealed = data[:_SALT_BYTES], data[_SALT_BYTES:]
    try:
        return _key(link_key, salt).decrypt(_NONCE, sealed, None)
    except InvalidTag:
        return None


def _key(link_key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt, _LABEL).derive(link_key))


def is_client_secret(key: str) -> bool:
    """Tell by its form whether a key is meant to be a client secret."""
    return key.startswith(PREFIX)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(minted: str) -> bytes:
    """Return the bytes of a secret; each has exactly one form."""
    if len(minted) > MAX_CHARACTERS:
        raise BadSecret
    text = minted.removeprefix(PREFIX)
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:  # binascii.Error, or a character beyond ASCII
        raise BadSecret from None
    if _encode(data) != text:
        raise BadSecret
    return data


def _unpack(packed: bytes) -> bytes:
    """Undo zlib within bounds; only a holder of the link key gets this far."""
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(packed, MAX_JSON_BYTES + 1)
    if not unpacking.eof:
        raise BadSecret
    return content
