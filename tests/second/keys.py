"""Handshake and seal: sections 3 and 4 of PROTOCOL.md, the listener's half."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.second.layout import ANSWER, FINISH, HEADER, OFFER, SEALED, VERSION, WELCOME

SLOT_S = 10
REMEMBERED = 4096  # finished handshakes
WINDOW = 4096  # residues of the replay window
LAST_EPOCH = 65_535


def mac(key: bytes, *parts: bytes) -> bytes:
    """Return HMAC-SHA256."""
    return hmac.digest(key, b"".join(parts), hashlib.sha256)


def expand(secret: bytes, label: str, length: int = 32) -> bytes:
    """Return at most 32 bytes of HKDF-Expand (RFC 5869 2.3: one block is enough)."""
    return mac(secret, b"tandem link 1 " + label.encode(), b"\x01")[:length]


class Key:
    """One direction in one epoch."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.cipher = AESGCM(expand(secret, "key"))
        self._iv = int.from_bytes(expand(secret, "iv", 12), "big")

    def nonce(self, counter: int) -> bytes:
        """Return the nonce of a datagram."""
        return (self._iv ^ counter).to_bytes(12, "big")

    def next(self) -> "Key":
        """Return the key of the next epoch."""
        return Key(expand(self._secret, "next"))


class Sealer:
    """What is sent: one counter through all epochs."""

    epoch_datagrams = 1 << 22
    epoch_s = 900.0

    def __init__(self, secret: bytes, link_id: int, now: float) -> None:
        self._key, self._link_id = Key(secret), link_id
        self._counter, self.epoch = 0, 0
        self._first, self._since = 1, now

    @property
    def worn_out(self) -> bool:
        """The last epoch is reached: the link must end."""
        return self.epoch >= LAST_EPOCH

    def seal(self, plaintext: bytes, now: float) -> bytes:
        """Return the next datagram."""
        self._counter += 1
        full = self._counter - self._first >= self.epoch_datagrams
        if not self.worn_out and (full or now - self._since >= self.epoch_s):
            self._key, self.epoch = self._key.next(), self.epoch + 1
            self._first, self._since = self._counter, now
        header = HEADER.pack(VERSION, SEALED, self.epoch, self._link_id, self._counter)
        nonce = self._key.nonce(self._counter)
        return header + self._key.cipher.encrypt(nonce, plaintext, header)


class Opener:
    """What arrives: three epochs and a window."""

    def __init__(self, secret: bytes) -> None:
        key = Key(secret)
        self._keys = {0: key, 1: key.next()}
        self._kept = [0] * WINDOW
        self.epoch, self.newest = 0, 0

    def open(self, datagram: bytes) -> bytes | None:
        """Return the plaintext, or None for what is forged, old or seen."""
        header = datagram[: HEADER.size]
        _, _, epoch, _, counter = HEADER.unpack(header)
        key = self._keys.get(epoch)
        if key is None or counter <= self._kept[counter % WINDOW]:
            return None
        try:
            plaintext = key.cipher.decrypt(
                key.nonce(counter), datagram[HEADER.size :], header
            )
        except InvalidTag:
            return None
        self._kept[counter % WINDOW] = counter
        self.newest = max(self.newest, counter)
        if epoch > self.epoch:
            self._keys = {epoch - 1: self._keys[self.epoch], epoch: key}
            self._keys[epoch + 1] = key.next()
            self.epoch = epoch
        return plaintext


@dataclass(frozen=True, slots=True)
class Agreed:
    """A handshake that ended well."""

    peer_id: int
    own_id: int
    up: bytes
    down: bytes


class Greeter:
    """Answers HELLO without keeping anything, and FINISH once."""

    def __init__(
        self, psks: Sequence[bytes], secret: bytes, versions: tuple[int, int] = (1, 1)
    ) -> None:
        roots = [mac(b"tandem link 1", psk) for psk in psks]
        self._roots = {expand(root, "key id", 4): root for root in roots}
        self._secret, self._versions = secret, versions
        self._finished: dict[bytes, int] = {}  # dialer's nonce to slot

    def welcome(self, hello: bytes, now: float) -> bytes | None:
        """Return the WELCOME of a HELLO, None for a stranger's."""
        header, offer, tag = hello[:16], hello[16:58], hello[58:]
        root = self._roots.get(offer[:4])
        if root is None or HEADER.unpack(header)[2:] != (0, 0, 0):
            return None
        if not hmac.compare_digest(tag, mac(expand(root, "hello"), header, offer)):
            return None
        peer_id = OFFER.unpack(offer)[1]
        answer = self._answer(offer, int(now // SLOT_S))
        header = HEADER.pack(VERSION, WELCOME, 0, peer_id, 0)
        return header + answer + mac(expand(root, "welcome"), offer, header, answer)

    def finish(self, finish: bytes, now: float) -> Agreed | None:
        """Return what was agreed, None for anything but a first, good FINISH."""
        header, offer, answer, tag = (
            finish[:16],
            finish[16:58],
            finish[58:95],
            finish[95:],
        )
        root, slot = self._roots.get(offer[:4]), int(now // SLOT_S)
        own_id, _, version = ANSWER.unpack(answer)
        if root is None or version == 0:
            return None
        if HEADER.unpack(header) != (VERSION, FINISH, 0, own_id, 0):
            return None
        if answer not in (self._answer(offer, slot), self._answer(offer, slot - 1)):
            return None
        master = mac(offer + answer, root)
        good = mac(expand(master, "finish"), header, offer, answer)
        if not hmac.compare_digest(tag, good) or not self._first(offer, slot):
            return None
        peer_id = OFFER.unpack(offer)[1]
        return Agreed(peer_id, own_id, expand(master, "up"), expand(master, "down"))

    def _answer(self, offer: bytes, slot: int) -> bytes:
        drawn = [
            mac(self._secret, label, slot.to_bytes(8, "big"), offer)
            for label in (b"nonce", b"id")
        ]
        own_id = int.from_bytes(drawn[1][:4], "big") or 1
        *_, lowest, highest = OFFER.unpack(offer)
        chosen = min(highest, self._versions[1])
        common = chosen >= max(lowest, self._versions[0])
        return ANSWER.pack(own_id, drawn[0], chosen if common else 0)

    def _first(self, offer: bytes, slot: int) -> bool:
        nonce: bytes = OFFER.unpack(offer)[2]
        if len(self._finished) >= REMEMBERED:
            kept = {key: at for key, at in self._finished.items() if at >= slot - 1}
            self._finished = kept
        if nonce in self._finished or len(self._finished) >= REMEMBERED:
            return False
        self._finished[nonce] = slot
        return True
