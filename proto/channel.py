"""The tunnel's proofs and seal (PROTOCOL.md 14): who is there, and nobody else reads.

    edge                                          relay
      HELLO (its nonce, MAC), in the upgrade   ->  403, or the upgrade
      <-  WELCOME (its nonce, MAC), first message
      every further message, both ways, is sealed by `Channel`

TCP keeps order, so counters stay unsaid: what is lost, doubled, moved or reflected does
not open, and the tunnel ends. Nonces are handed in; what is not authentic is a
`RemoteError`.
"""

import hmac
from collections import deque
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from proto.errors import LocalError, RemoteError
from proto.handshake import LinkKey
from proto.seal import Unauthentic, expand

NONCE_BYTES: Final = 32

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""Of one event: the largest that the Realtime client of the relay takes."""

TAG_BYTES: Final = 16

KEY_MESSAGES: Final = 1 << 16
"""Messages under one key: 2^36 blocks at most, which leaves AES-GCM the margin that
RFC 8446 section 5.5 asks for."""

MAX_HELLOS: Final = 4096
"""Nonces remembered, so that a recorded HELLO does not open door after door."""

_MAC_BYTES: Final = 32
_KEY_ID_BYTES: Final = 4
_OFFER_BYTES: Final = _KEY_ID_BYTES + NONCE_BYTES

HELLO_BYTES: Final = _OFFER_BYTES + _MAC_BYTES
WELCOME_BYTES: Final = NONCE_BYTES + _MAC_BYTES


def tunnel_key(secret: bytes) -> LinkKey:
    """Return the keys that the tunnel makes of the link's pre-shared key.

    A key schedule like the link's under another root: nothing of one opens the other.
    """
    return LinkKey(hmac.digest(b"tandem tunnel 1", secret, "sha256"))


class Direction:
    """Key, nonce mask and counter of what goes one way."""

    def __init__(self, secret: bytes) -> None:
        self._use(secret)

    def next(self) -> tuple[AESGCM, bytes]:
        """Return the cipher and the nonce of the next message."""
        if self._count == KEY_MESSAGES:
            self._use(self._next_secret)
        self._count += 1
        return self._aead, (self._iv ^ self._count).to_bytes(12, "big")

    def _use(self, secret: bytes) -> None:
        self._aead = AESGCM(expand(secret, b"key"))
        self._iv = int.from_bytes(expand(secret, b"iv", 12), "big")
        self._next_secret = expand(secret, b"next")
        self._count = 0


class Channel:
    """Seals what one end sends and opens what it receives, each in order.

    Args:
        outgoing: Secret of what is sent, 32 bytes.
        incoming: Secret of what is received, 32 bytes.
    """

    def __init__(self, outgoing: bytes, incoming: bytes) -> None:
        self._outgoing = Direction(outgoing)
        self._incoming: Direction | None = Direction(incoming)

    def seal(self, message: bytes) -> bytes:
        """Return the sealed message; it must be sent, and in this order.

        Raises:
            LocalError: It is longer than 16 MiB.
        """
        if len(message) > MAX_MESSAGE_BYTES:
            raise LocalError("a message is longer than the tunnel carries")
        aead, nonce = self._outgoing.next()
        return aead.encrypt(nonce, message, None)

    def open(self, sealed: bytes) -> bytes:
        """Return the message; after one that does not open, none does.

        Raises:
            Unauthentic: It is not the peer's next message.
        """
        if self._incoming is None:
            raise Unauthentic
        aead, nonce = self._incoming.next()
        try:
            return aead.decrypt(nonce, sealed, None)
        except InvalidTag:
            self._incoming = None
            raise Unauthentic from None


class EdgeHandshake:
    """The dialling end, for one tunnel.

    Args:
        key: Made by `tunnel_key`.
        nonce: 32 fresh random bytes.
    """

    def __init__(self, key: LinkKey, nonce: bytes) -> None:
        self._key = key
        self._offer = key.id + nonce

    def hello(self) -> bytes:
        """Return what proves the edge to the relay."""
        return self._offer + hmac.digest(self._key.hello, self._offer, "sha256")

    def welcomed(self, welcome: bytes) -> Channel:
        """Return the channel that the relay's answer makes.

        Raises:
            RemoteError: It is no answer to this HELLO by a holder of the key.
        """
        nonce, mac = welcome[:NONCE_BYTES], welcome[NONCE_BYTES:]
        transcript = self._offer + nonce
        proof = hmac.digest(self._key.welcome, transcript, "sha256")
        if len(welcome) != WELCOME_BYTES or not hmac.compare_digest(proof, mac):
            raise RemoteError("not authentic")
        secrets = self._key.secrets(transcript)
        return Channel(outgoing=secrets.up, incoming=secrets.down)


class RelayHandshake:
    """The listening end, for all tunnels.

    Args:
        keys: Made by `tunnel_key`: one, or two while they are changed.
    """

    def __init__(self, keys: tuple[LinkKey, ...]) -> None:
        self._keys = {key.id: key for key in keys}
        self._seen: set[bytes] = set()
        self._seen_in_order: deque[bytes] = deque()

    def verified(self, hello: bytes) -> "VerifiedHello":
        """Return an edge's proof, checked.

        Raises:
            RemoteError: It is none, or was shown before.
        """
        offer, mac = hello[:_OFFER_BYTES], hello[_OFFER_BYTES:]
        key = self._keys.get(offer[:_KEY_ID_BYTES])
        if len(hello) != HELLO_BYTES or key is None:
            raise RemoteError("not a hello")
        if not hmac.compare_digest(hmac.digest(key.hello, offer, "sha256"), mac):
            raise RemoteError("not authentic")
        self._remember(offer)
        return VerifiedHello(key, offer)

    def _remember(self, offer: bytes) -> None:
        if offer in self._seen:
            raise RemoteError("shown before")
        if len(self._seen) == MAX_HELLOS:
            self._seen.remove(self._seen_in_order.popleft())
        self._seen.add(offer)
        self._seen_in_order.append(offer)


class VerifiedHello:
    """An edge that has shown the key."""

    def __init__(self, key: LinkKey, offer: bytes) -> None:
        self._key = key
        self._offer = offer

    def welcome(self, nonce: bytes) -> tuple[bytes, Channel]:
        """Return what proves the relay to the edge, and the channel.

        Args:
            nonce: 32 fresh random bytes: they keep a replayed HELLO from getting the
                same keys again.
        """
        transcript = self._offer + nonce
        secrets = self._key.secrets(transcript)
        mac = hmac.digest(self._key.welcome, transcript, "sha256")
        return nonce + mac, Channel(outgoing=secrets.down, incoming=secrets.up)
