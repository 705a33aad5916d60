"""The three datagrams that make a link (PROTOCOL.md 3): HELLO, WELCOME, FINISH.

    dialer                                   listener
      HELLO  (its nonce and link id, MAC)  ->  keeps nothing
      <-  WELCOME (its nonce and link id, MAC)
      FINISH (all of the above, MAC)       ->  the link exists
      <-  first sealed datagram: the listener is proven, the link is up

Pure functions of a key, nonces and time. The listener derives its nonce and link id
from the HELLO, a secret of its process and a coarse time slot, so it can recognise them
in the FINISH without having kept anything. Answers are shorter than questions. What
does not verify is a `RemoteError`: silence on the wire.
"""

import hmac
import struct
from typing import Final, NamedTuple

from proto.errors import RemoteError
from proto.seal import Opener, Sealer, expand
from proto.wire import HEADER, HEADER_BYTES, VERSION, DatagramType

NONCE_BYTES: Final = 32

SLOT_S: Final = 10.0
"""Length of a time slot: a FINISH is good in the slot of its WELCOME and the next."""

MAX_FINISHED: Final = 4096
"""Handshakes remembered so that none makes two links; when full, no link is made."""

_OFFER = struct.Struct("!4sI32sBB")
"""Key id, dialer's link id, dialer's nonce, lowest and highest version offered."""

_ANSWER = struct.Struct("!I32sB")
"""Listener's link id, listener's nonce, version chosen (0: none in common)."""

_MAC_BYTES: Final = 32

HELLO_BYTES: Final = HEADER_BYTES + _OFFER.size + _MAC_BYTES
WELCOME_BYTES: Final = HEADER_BYTES + _ANSWER.size + _MAC_BYTES
FINISH_BYTES: Final = HEADER_BYTES + _OFFER.size + _ANSWER.size + _MAC_BYTES


class VersionMismatch(RemoteError):  # noqa: N818  # reads as what happened
    """The listener is authentic and speaks no version of ours."""


class LinkKey:
    """A pre-shared key: its name on the wire and the keys made of it.

    Args:
        secret: At least 32 bytes of entropy.
    """

    def __init__(self, secret: bytes) -> None:
        root = hmac.digest(b"tandem link 1", secret, "sha256")
        self._root = root
        self.id = expand(root, b"key id", 4)
        self.hello = expand(root, b"hello")
        self.welcome = expand(root, b"welcome")

    def secrets(self, transcript: bytes) -> "LinkSecrets":
        """Return the secrets of the link that this handshake makes."""
        master = hmac.digest(transcript, self._root, "sha256")
        return LinkSecrets(
            expand(master, b"finish"), expand(master, b"up"), expand(master, b"down")
        )


class LinkSecrets(NamedTuple):
    """What the handshake agreed on; `up` is dialer to listener."""

    finish: bytes
    up: bytes
    down: bytes


class Ends(NamedTuple):
    """Both directions of a new link, as one end holds them."""

    link_id: int
    sealer: Sealer
    opener: Opener


class DialerHandshake:
    """The dialer's side, for one attempt.

    Args:
        key: The pre-shared key.
        link_id: What the listener shall call the link, not 0.
        nonce: 32 fresh random bytes.
    """

    def __init__(self, key: LinkKey, link_id: int, nonce: bytes) -> None:
        self._key = key
        self.link_id = link_id
        self._offer = _OFFER.pack(key.id, link_id, nonce, VERSION, VERSION)

    def hello(self) -> bytes:
        """Return the HELLO; it may be sent again."""
        body = HEADER.pack(VERSION, DatagramType.HELLO, 0, 0, 0) + self._offer
        return body + hmac.digest(self._key.hello, body, "sha256")

    def welcomed(self, datagram: bytes, now: float) -> tuple[bytes, Ends]:
        """Take a WELCOME; return the FINISH, which may be sent again, and the link.

        Raises:
            VersionMismatch: An authentic listener has no version in common.
            RemoteError: It is no answer to our HELLO.
        """
        if len(datagram) != WELCOME_BYTES:
            raise RemoteError("not a welcome")
        signed = self._offer + datagram[:-_MAC_BYTES]
        if not _verifies(self._key.welcome, signed, datagram):
            raise RemoteError("not authentic")
        answer = datagram[HEADER_BYTES:-_MAC_BYTES]
        their_id, _, version = _ANSWER.unpack(answer)
        if version != VERSION:
            raise VersionMismatch(f"listener chose version {version}")
        transcript = self._offer + answer
        secrets = self._key.secrets(transcript)
        body = _finish_header(their_id) + transcript
        finish = body + hmac.digest(secrets.finish, body, "sha256")
        ends = Ends(
            self.link_id, Sealer(secrets.up, their_id, now), Opener(secrets.down)
        )
        return finish, ends


class ListenerHandshake:
    """The listener's side, for all dialers.

    Args:
        keys: Pre-shared keys accepted: one, or two while they are changed.
        secret: 32 random bytes of this process.
    """

    def __init__(self, keys: tuple[LinkKey, ...], secret: bytes) -> None:
        self._keys = {key.id: key for key in keys}
        self._secret = secret
        self._finished: dict[bytes, float] = {}

    def welcome(self, datagram: bytes, now: float) -> bytes:
        """Return the answer to a HELLO; keep nothing.

        Raises:
            RemoteError: It is not an authentic HELLO.
        """
        if len(datagram) != HELLO_BYTES:
            raise RemoteError("not a hello")
        offer = datagram[HEADER_BYTES:-_MAC_BYTES]
        key_id, their_id, _, lowest, highest = _OFFER.unpack(offer)
        key = self._keys.get(key_id)
        if key is None or not _verifies(key.hello, datagram[:-_MAC_BYTES], datagram):
            raise RemoteError("not authentic")
        version = VERSION if lowest <= VERSION <= highest else 0
        link_id, nonce = self._answer(offer, int(now // SLOT_S))
        body = HEADER.pack(VERSION, DatagramType.WELCOME, 0, their_id, 0)
        body += _ANSWER.pack(link_id, nonce, version)
        return body + hmac.digest(key.welcome, offer + body, "sha256")

    def finished(self, datagram: bytes, now: float) -> Ends:
        """Return the link that a FINISH makes.

        Raises:
            RemoteError: It does not answer a WELCOME of ours, comes too late, or has
                made a link before; or too many handshakes were finished of late.
        """
        if len(datagram) != FINISH_BYTES:
            raise RemoteError("not a finish")
        transcript = datagram[HEADER_BYTES:-_MAC_BYTES]
        offer, answer = transcript[: _OFFER.size], transcript[_OFFER.size :]
        key_id, their_id, *_ = _OFFER.unpack(offer)
        link_id, nonce, version = _ANSWER.unpack(answer)
        # One for another link id than it names would get past the link that has this id
        # already, and take its place.
        if datagram[:HEADER_BYTES] != _finish_header(link_id):
            raise RemoteError("wrong header")
        slot = int(now // SLOT_S)
        ours = (link_id, nonce) in (
            self._answer(offer, slot),
            self._answer(offer, slot - 1),
        )
        key = self._keys.get(key_id)
        if not ours or version != VERSION or key is None:
            raise RemoteError("not an answer to a welcome of ours")
        secrets = key.secrets(transcript)
        if not _verifies(secrets.finish, datagram[:-_MAC_BYTES], datagram):
            raise RemoteError("not authentic")
        self._remember(nonce, now)
        return Ends(link_id, Sealer(secrets.down, their_id, now), Opener(secrets.up))

    def _answer(self, offer: bytes, slot: int) -> tuple[int, bytes]:
        """Return the link id and nonce that this offer gets in this slot."""
        seed = offer + slot.to_bytes(8, "big", signed=True)
        nonce = hmac.digest(self._secret, b"nonce" + seed, "sha256")
        link_id = int.from_bytes(
            hmac.digest(self._secret, b"id" + seed, "sha256")[:4], "big"
        )
        return link_id or 1, nonce

    def _remember(self, nonce: bytes, now: float) -> None:
        """Refuse what has made a link already: the same keys must not be used twice."""
        if nonce in self._finished:
            raise RemoteError("finished before")
        if len(self._finished) >= MAX_FINISHED:
            self._finished = {n: end for n, end in self._finished.items() if end > now}
        if len(self._finished) >= MAX_FINISHED:
            raise RemoteError("too many handshakes")
        self._finished[nonce] = now + 2 * SLOT_S


def _finish_header(link_id: int) -> bytes:
    return HEADER.pack(VERSION, DatagramType.FINISH, 0, link_id, 0)


def _verifies(key: bytes, signed: bytes, datagram: bytes) -> bool:
    mac = hmac.digest(key, signed, "sha256")
    return hmac.compare_digest(mac, datagram[-_MAC_BYTES:])
