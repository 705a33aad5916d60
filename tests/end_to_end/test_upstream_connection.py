"""The relay's client against servers that do not behave, over loopback sockets."""

import asyncio
import base64
import contextlib
import functools
import hashlib
import socket
import ssl
import threading
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from relay.life import Life
from relay.upstream import connection
from relay.upstream.client import RealtimeClient
from relay.upstream.events import UpstreamEvent
from relay.upstream.names import Addresses, Names
from relay.upstream.port import UpstreamError, UpstreamLost, UpstreamRefused
from tests.support.certificates import self_signed
from tests.support.freeing import no_collection
from tests.support.waiting import LIMIT_S, until

KEY = "sk-1"
TEXT, CONTINUATION, CLOSE, PING, PONG = b"\x81", b"\x80", b"\x88", b"\x89", b"\x8a"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def framed(first: bytes, payload: bytes) -> bytes:
    """Return a short frame of a server's."""
    assert len(payload) < 126
    return first + bytes((len(payload),)) + payload


async def unframed(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Read a short frame of a client's."""
    first, length = await reader.readexactly(1), await reader.readexactly(1)
    mask = await reader.readexactly(4)
    masked = await reader.readexactly(length[0] & 127)
    return first, bytes(byte ^ mask[at % 4] for at, byte in enumerate(masked))


async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Shake hands; return what was asked."""
    asked = await reader.readuntil(b"\r\n\r\n")
    lines = dict(line.split(b": ") for line in asked.split(b"\r\n")[1:-2])
    digest = hashlib.sha1(lines[b"Sec-WebSocket-Key"] + _GUID, usedforsecurity=False)
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket"
        b"\r\nSec-WebSocket-Accept: " + base64.b64encode(digest.digest()) + b"\r\n\r\n"
    )
    return asked


@contextlib.asynccontextmanager
async def serving(
    behave: Behave, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve on a port of the loopback meanwhile."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await behave(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


class Receiver:
    """A client's session: remembers what it hears."""

    has_media = False

    def __init__(self, upstream: RealtimeClient) -> None:
        self.upstream = upstream
        self.is_connected = False
        self.heard: asyncio.Queue[bytes] = asyncio.Queue()

    def upstream_connected(self) -> None:
        self.is_connected = True

    def upstream_event(self, event: UpstreamEvent, message: bytes) -> None:
        self.heard.put_nowait(message)


def calling(
    url: str, tls: ssl.SSLContext | None = None, names: Names | None = None
) -> RealtimeClient:
    tls = tls or ssl.create_default_context()
    return RealtimeClient(url, KEY, {}, tls, names or Names())


@contextlib.asynccontextmanager
async def running(upstream: RealtimeClient) -> AsyncIterator[Receiver]:
    """Run a client meanwhile; leave in the end."""
    receiver = Receiver(upstream)
    async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as tasks:
        session = tasks.create_task(upstream.run(receiver, tasks))
        yield receiver
        session.cancel()


@contextlib.asynccontextmanager
async def connected_to(behave: Behave) -> AsyncIterator[Receiver]:
    """Run a client of such a server meanwhile."""
    async with (
        serving(behave) as port,
        running(calling(f"ws://127.0.0.1:{port}/")) as receiver,
    ):
        yield receiver


async def failing(behave: Behave) -> UpstreamError:
    """Return how a session with a server ends."""
    async with serving(behave) as port:
        return await ending(calling(f"ws://127.0.0.1:{port}/"))


async def ending(upstream: RealtimeClient) -> UpstreamError:
    """Return how a session ends by itself."""
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(LIMIT_S), asyncio.TaskGroup() as tasks:
            await upstream.run(Receiver(upstream), tasks)
    (error,) = caught.value.exceptions
    assert isinstance(error, UpstreamError)
    return error


async def until_it_hangs_up(reader: asyncio.StreamReader, _: object = None) -> None:
    while await reader.read(1 << 16):
        pass


def answering(answer: bytes, asked: list[bytes] | None = None) -> Behave:
    """Return who gives that answer to the handshake, and goes."""

    async def behave(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        if asked is not None:
            asked.append(request)
        writer.write(answer)

    return behave


def saying(*what: bytes) -> Behave:
    """Return who shakes hands, says that, and listens until the client hangs up."""

    async def behave(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await welcome(reader, writer)
        writer.writelines(what)
        await until_it_hangs_up(reader)

    return behave


@pytest.mark.parametrize(
    ("head", "code", "told"),
    [
        (b"HTTP/1.1 401 Unauthorized", "upstream_unauthorized", "(HTTP 401)"),
        (b"HTTP/1.0 503 Service Unavailable", "upstream_unavailable", "(HTTP 503)"),
        (b"HTTP/1.1 529 Overloaded", "upstream_unavailable", "(HTTP 529)"),
        (b"HTTP/1.1 200 OK", "upstream_unavailable", "(HTTP 200)"),
        (b"SSH-2.0-OpenSSH_9.2", "upstream_unavailable", "cannot serve."),
    ],
)
@pytest.mark.asyncio
async def test_an_answer_that_is_no_welcome_is_told(
    head: bytes, code: str, told: str
) -> None:
    error = await failing(answering(head + b"\r\nContent-Length: 0\r\n\r\n"))
    assert isinstance(error, UpstreamRefused)
    assert error.code == code
    assert told in error.message


@pytest.mark.asyncio
async def test_nobody_else_is_shown_the_key_however_the_upstream_points() -> None:
    asked: list[bytes] = []
    async with serving(answering(b"", asked)) as elsewhere:
        there = f"http://127.0.0.1:{elsewhere}/".encode()
        answer = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: " + there + b"\r\n\r\n"
        error = await failing(answering(answer, asked))
    assert "(HTTP 307)" in error.message
    assert len(asked) == 1
    assert KEY.encode() in asked[0]


@pytest.mark.asyncio
async def test_an_upstream_that_hangs_up_instead_of_answering_is_unreachable() -> None:
    error = await failing(answering(b""))
    assert isinstance(error, UpstreamRefused)
    assert error.message == "The Realtime API cannot be reached."


@pytest.mark.asyncio
async def test_a_session_that_ends_in_the_handshake_leaves_no_connection() -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def behave(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await until_it_hangs_up(reader)
        gone.set()

    async with serving(behave) as port, asyncio.timeout(LIMIT_S):
        async with running(calling(f"ws://127.0.0.1:{port}/")):
            await asked.wait()
        await gone.wait()


@pytest.mark.asyncio
async def test_pings_are_answered_and_messages_in_frames_put_together() -> None:
    pongs = []

    async def behave(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await welcome(reader, writer)
        writer.write(framed(b"\x01", b'{"type":') + framed(PING, b"words"))
        pongs.append(await unframed(reader))
        writer.write(framed(CONTINUATION, b'"a"}'))
        assert (await unframed(reader))[0] == CLOSE
        writer.write(framed(CLOSE, b"\x03\xe8"))

    async with connected_to(behave) as receiver:
        assert await receiver.heard.get() == b'{"type":"a"}'
    assert pongs == [(PONG, b"words")]


@pytest.mark.parametrize(
    "what",
    [
        b"\xc1\x02{}",
        b"\x83\x02{}",
        b"\x81\x82\0\0\0\0{}",
        b"\x09\x00",
        b"\x80\x02{}",
        b"\x89\x7e\x00\x7e" + bytes(126),
        b"\x88\x02\x03\xed",
        b"\x88\x03\x03\xe8\xff",
    ],
    ids=[
        *("compressed", "unknown kind", "masked", "ping in parts", "unbegun"),
        *("large ping", "close code 1005", "close not in UTF-8"),
    ],
)
@pytest.mark.asyncio
async def test_a_server_that_breaks_the_rules_is_left(what: bytes) -> None:
    error = await failing(saying(what))
    assert isinstance(error, UpstreamLost)
    assert error.message == "The Realtime API broke WebSocket."


@pytest.mark.asyncio
async def test_a_message_that_only_claims_to_be_too_large_is_enough() -> None:
    error = await failing(saying(b"\x81\x7f" + (1 << 40).to_bytes(8, "big")))
    assert error.code == "upstream_message_too_large"


@pytest.mark.asyncio
async def test_a_message_too_large_is_told_of_though_the_peer_answers_the_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "MAX_MESSAGE_BYTES", 100)

    async def behave(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await welcome(reader, writer)
        writer.write(framed(TEXT, bytes(101)))
        kind, why = await unframed(reader)
        writer.write(framed(kind, why[:2]))

    error = await failing(behave)
    assert error.code == "upstream_message_too_large"


@pytest.mark.parametrize(
    ("close", "told"), [(framed(CLOSE, b""), "(1005)"), (b"", "broke")]
)
@pytest.mark.asyncio
async def test_an_end_without_words_is_told(close: bytes, told: str) -> None:
    async def behave(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await welcome(reader, writer)
        writer.write(close)

    error = await failing(behave)
    assert error.code == "upstream_lost"
    assert told in error.message


@pytest.mark.asyncio
async def test_what_a_peer_does_not_read_waits_and_then_arrives_in_order() -> None:
    sent = [bytes([48 + number % 10]) * 60_000 for number in range(200)]
    reads, arrived = asyncio.Event(), bytearray()

    async def behave(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await welcome(reader, writer)
        await reads.wait()
        for _ in sent:
            head = await reader.readexactly(8)
            arrived.append((await reader.readexactly(60_000))[0] ^ head[4])
        writer.write(framed(TEXT, b"{}"))

    async with connected_to(behave) as receiver:
        for message in sent:
            receiver.upstream.send(message)
        await until(lambda: receiver.is_connected)
        assert receiver.upstream.waiting
        reads.set()
        await receiver.heard.get()
    assert arrived == bytes(message[0] for message in sent)


@pytest.mark.asyncio
async def test_only_who_the_certificate_names_is_shown_the_key(tmp_path: Path) -> None:
    made, asked = self_signed(tmp_path), []

    async def behave(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        asked.append(await welcome(reader, writer))
        writer.write(framed(TEXT, b"{}"))
        await until_it_hangs_up(reader)

    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(made.certificate, made.key)
    async with serving(behave, own) as port:
        url = f"wss://localhost:{port}/"
        error = await ending(calling(url))
        assert error.message == "The Realtime API cannot be reached."
        assert not asked
        trusting = ssl.create_default_context(cafile=made.certificate)
        async with running(calling(url, trusting)) as receiver:
            await receiver.heard.get()
    assert f"Bearer {KEY}".encode() in asked[0]


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await until_it_hangs_up(reader)


@pytest.mark.parametrize(
    "behave",
    [
        *(answering(b"HTTP/1.1 401 Unauthorized\r\n\r\n"), answering(b""), silent),
        *(saying(b"\xc1\x02{}"), saying(b"\x81\x7f" + (1 << 40).to_bytes(8, "big"))),
        *(saying(framed(CLOSE, b"\x03\xe8")), None),
    ],
    ids=["refused", "hung up", "silent", "broken", "too large", "closed", "nobody"],
)
@pytest.mark.asyncio
async def test_a_client_that_failed_is_freed_without_a_collection(
    behave: Behave | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.5)

    async def failed_at(port: int) -> list[weakref.ref[object]]:
        upstream = calling(f"ws://127.0.0.1:{port}/")
        run = functools.partial(upstream.run, Receiver(upstream))
        life = Life(LIMIT_S, {})
        await life.last(run, expired=lambda: None)
        assert life.failure is not None
        return [weakref.ref(upstream), weakref.ref(upstream._connection)]

    with no_collection():
        async with serving(behave or silent) as port:
            held = await failed_at(port) if behave else []
        held = held or await failed_at(port)  # where nobody is any more
        await until(lambda: [one() for one in held] == [None, None])


class Resolver:
    """Takes its time; fails if it is told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.questions = 0
        self.answers = threading.Event()
        self._fails = fails

    def ask(self, host: str, port: int) -> asyncio.Future[Addresses]:
        self.questions += 1
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(None, self._answer, port)

    def _answer(self, port: int) -> Addresses:
        assert self.answers.wait(LIMIT_S)
        if self._fails:
            raise socket.gaierror(socket.EAI_AGAIN, "no server answers")
        nobody, server = ("127.0.0.2", port), ("127.0.0.1", port)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", there)
            for there in (nobody, server)
        ]


@pytest.mark.asyncio
async def test_clients_do_not_queue_behind_a_slow_resolver_and_try_all_it_names() -> (
    None
):
    resolver = Resolver()
    names, tls = Names(resolver.ask), ssl.create_default_context()
    async with (
        serving(saying()) as port,
        asyncio.timeout(LIMIT_S),
        asyncio.TaskGroup() as tasks,
    ):
        url = f"ws://api:{port}/"
        receivers = [Receiver(calling(url, tls, names)) for _ in range(50)]
        sessions = [
            tasks.create_task(each.upstream.run(each, tasks)) for each in receivers
        ]
        await asyncio.sleep(0)
        resolver.answers.set()
        await until(lambda: all(each.is_connected for each in receivers))
        for session in sessions:
            session.cancel()
    assert resolver.questions == 1


@pytest.mark.asyncio
async def test_a_name_that_cannot_be_looked_up_is_told() -> None:
    resolver = Resolver(fails=True)
    resolver.answers.set()
    error = await ending(calling("ws://api/", names=Names(resolver.ask)))
    assert isinstance(error, UpstreamRefused)
    assert error.message == "The Realtime API's name cannot be looked up."


@pytest.mark.asyncio
async def test_a_resolver_that_says_nothing_does_not_hold_a_client_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.1)
    resolver = Resolver()
    error = await ending(calling("ws://api/", names=Names(resolver.ask)))
    assert isinstance(error, UpstreamRefused)
    assert error.message == "The Realtime API does not answer."
    resolver.answers.set()
