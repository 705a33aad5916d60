"""The handshakes of link and tunnel, and the tunnel's seal."""

import contextlib

from proto.channel import (
    MAX_HELLOS,
    Channel,
    EdgeHandshake,
    RelayHandshake,
    tunnel_key,
)
from proto.errors import RemoteError
from proto.handshake import (
    HELLO_BYTES,
    MAX_FINISHED,
    DialerHandshake,
    LinkKey,
    ListenerHandshake,
)
from proto.seal import Unauthentic
from tests.fuzz.draw import Draw

SECRET = b"\x9f" * 32
"""Not that of the vectors, from which the targets start."""
KEY = LinkKey(SECRET)
TUNNEL_KEY = tunnel_key(SECRET)
NOW = 1000.0


def dialer(link_id: int = 7, nonce: bytes = b"d" * 32) -> DialerHandshake:
    return DialerHandshake(KEY, link_id, nonce)


def listener() -> ListenerHandshake:
    return ListenerHandshake((KEY,), b"l" * 32)


def changed(genuine: bytes, draw: Draw) -> bytes:
    """Return a datagram with some bytes of it replaced, cut or lengthened."""
    copy = bytearray(genuine)
    for _ in range(1 + draw.byte() % 4):
        copy[draw.below(len(copy))] = draw.byte()
    end = draw.choice((len(copy), len(copy), draw.below(len(copy) + 1)))
    return bytes(copy[:end]) + (draw.short() if draw.chance(0.2) else b"")


class Listening:
    """A stranger at a listener: no answer, nothing remembered."""

    def __init__(self) -> None:
        self._handshake = listener()
        self._hello = dialer().hello()
        welcome = self._handshake.welcome(self._hello, NOW)
        self._finish, _ = dialer().welcomed(welcome, NOW)

    def __call__(self, data: bytes) -> None:
        draw = Draw(data)
        genuine = draw.choice((self._hello, self._finish))
        for datagram in (data, changed(genuine, draw)):
            if datagram in (self._hello, self._finish):
                continue
            for receive in (self._handshake.welcome, self._handshake.finished):
                try:
                    receive(datagram, NOW)
                except RemoteError:
                    continue
                raise AssertionError("a stranger was answered")
        assert not self._handshake._finished


class Dialling:
    """A stranger who answers a dialer: nothing comes of it."""

    def __init__(self) -> None:
        self._handshake = dialer()
        self._welcome = listener().welcome(self._handshake.hello(), NOW)

    def __call__(self, data: bytes) -> None:
        for datagram in (data, changed(self._welcome, Draw(data))):
            if datagram == self._welcome:
                continue
            try:
                self._handshake.welcomed(datagram, NOW)
            except RemoteError:
                continue
            raise AssertionError("a stranger was believed")


def greeting(data: bytes) -> None:
    """Holders of the key greet as they like: bounded, and no keys made twice."""
    draw = Draw(data)
    host, now, made = listener(), NOW, set()
    while draw.has_more:
        now += draw.byte() / 16
        guest = dialer(draw.number() & 0xFFFF_FFFF, draw.take(4).ljust(32, b"n"))
        with contextlib.suppress(RemoteError):
            welcome = host.welcome(guest.hello(), now)
            assert len(welcome) < HELLO_BYTES
            finish, _ = guest.welcomed(welcome, now)
            now += draw.byte() / 8
            for _ in range(1 + draw.byte() % 3):
                host.finished(finish, now)
                assert finish not in made
                made.add(finish)
        assert len(host._finished) <= MAX_FINISHED


def tunnel_greeting(data: bytes) -> None:
    """A stranger at a tunnel's door, on either side of it."""
    draw = Draw(data)
    relay, edge = RelayHandshake((TUNNEL_KEY,)), EdgeHandshake(TUNNEL_KEY, b"e" * 32)
    hello = edge.hello()
    welcome, _ = relay.verified(hello).welcome(b"r" * 32)
    for strange in (data, changed(hello, draw), hello):  # the last one is a replay
        try:
            relay.verified(strange)
        except RemoteError:
            continue
        raise AssertionError("a stranger was let in")
    for strange in (data, changed(welcome, draw)):
        if strange == welcome:
            continue
        try:
            edge.welcomed(strange)
        except RemoteError:
            continue
        raise AssertionError("a stranger was believed")
    assert len(relay._seen) <= MAX_HELLOS


def tunnel_seal(data: bytes) -> None:
    """What opens was sealed by the peer, in order; after a fault nothing opens."""
    draw = Draw(data)
    edge, relay = Channel(b"u" * 32, b"d" * 32), Channel(b"d" * 32, b"u" * 32)
    waiting: list[bytes] = []
    plain: list[bytes] = []
    opened, is_broken = 0, False
    while draw.has_more:
        if not waiting or draw.chance(0.4):
            plain.append(draw.short())
            waiting.append(edge.seal(plain[-1]))
            continue
        sealed = waiting[0]
        match draw.byte() % 8:
            case 0:
                sealed = changed(sealed, draw)
            case 1:
                sealed = draw.choice(waiting)
            case 2:
                sealed = relay.seal(b"reflected")
            case 3:
                sealed = draw.short()
            case _:
                pass
        is_genuine = sealed == waiting.pop(0)
        try:
            text = relay.open(sealed)
        except Unauthentic:
            assert is_broken or not is_genuine
            is_broken = True
            continue
        assert is_genuine
        assert not is_broken
        assert text == plain[opened]
        opened += 1
