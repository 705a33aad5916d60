"""The client's queue and patience, with a transport that is slow to take anything."""

import asyncio
import contextlib
import ssl
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from types import SimpleNamespace
from typing import Any, NamedTuple

import picows
import pytest
from picows import WSCloseCode, WSMsgType

from relay.upstream import client, connection
from relay.upstream.client import RealtimeClient
from relay.upstream.events import UpstreamEvent
from relay.upstream.names import Names
from relay.upstream.port import UpstreamError, UpstreamLost, UpstreamRefused
from tests.support import clock as virtual
from tests.support.freeing import no_collection


class Frame(NamedTuple):
    """A frame, as picows shows it."""

    msg_type: WSMsgType
    payload: bytes = b""
    fin: bool = True
    rsv1: bool = False
    rsv2: bool = False
    rsv3: bool = False
    code: int = 0
    last_in_buffer: bool = True

    def get_payload_as_bytes(self) -> bytes:
        return self.payload

    def get_close_code(self) -> int:
        return self.code

    def get_close_reason(self) -> str:
        return self.payload.decode()


class Transport:
    """Of picows; takes one message, then no more until it is let go.

    It says what it is told to, answers pings or does not, and goes when it is told to
    or, if it is polite, when leave is taken.
    """

    def __init__(
        self, *, is_free: bool = False, answers: bool = False, is_polite: bool = True
    ) -> None:
        self.listener: Any = None
        self.is_free = is_free
        self.taken: list[bytes] = []
        self.pings = 0
        self.pongs: list[bytes] = []
        self.closes: list[WSCloseCode] = []
        self.close_handshake: Any = None
        self.is_close_frame_sent = False
        self.urls: list[str] = []
        self.headers: dict[str, str] = {}
        self.is_reading = True
        self._answers = answers
        self._is_polite = is_polite
        self._gone = asyncio.Event()

    @property
    def is_gone(self) -> bool:
        return self._gone.is_set()

    @property
    def underlying_transport(self) -> "Transport":
        return self

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True

    async def connect(self, listen: Callable[[], Any], url: str, **how: Any) -> None:
        self.urls.append(url)
        self.headers = how["extra_headers"]
        self.listener = listen()
        self.listener.on_ws_connected(self)

    def send(self, kind: WSMsgType, text: bytes) -> None:
        assert kind is WSMsgType.TEXT
        self.taken.append(text)
        if not self.is_free:
            self.listener.pause_writing()

    def free(self) -> None:
        self.is_free = True
        self.listener.resume_writing()

    def send_ping(self) -> None:
        self.pings += 1
        if self._answers:
            self.say(Frame(WSMsgType.PONG))

    def send_pong(self, words: bytes) -> None:
        self.pongs.append(words)

    def send_close(self, code: WSCloseCode) -> None:
        self.closes.append(code)
        self.is_close_frame_sent = True
        if self._is_polite:
            self.disconnect()

    def disconnect(self, *, graceful: bool = True) -> None:
        self._gone.set()

    async def wait_disconnected(self) -> None:
        await self._gone.wait()

    def say(self, *frames: Frame) -> None:
        for frame in frames:
            self.listener.on_ws_frame(self, frame)


class Receiver:
    """A session that remembers what it hears."""

    has_media = False

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def upstream_connected(self) -> None:
        pass

    def upstream_event(self, event: UpstreamEvent, message: bytes) -> None:
        self.heard.append(message)


@contextlib.asynccontextmanager
async def conversing(
    transport: Transport,
    receiver: Receiver | None = None,
    early: Iterable[bytes] = (),
    **how: Any,
) -> AsyncIterator[RealtimeClient]:
    """Converse over a transport meanwhile; `early` is sent before there is any."""
    wish = {"url": "ws://x/v1", "key": "", "query": {"model": "m"}} | how
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    upstream = RealtimeClient(tls=tls, names=Names(), **wish)
    for message in early:
        upstream.send(message)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(picows, "ws_connect", transport.connect)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(upstream.run(receiver or Receiver(), tasks))
            await asyncio.sleep(0.1)
            yield upstream
            running.cancel()


def failing(talk: Callable[[], Coroutine[Any, Any, None]]) -> UpstreamError:
    """Return how the upstream ends a conversation."""
    with pytest.raises(ExceptionGroup) as caught:
        virtual.run(talk())
    (error,) = caught.value.exceptions
    assert isinstance(error, UpstreamError)
    return error


def saying(*frames: Frame, **how: Any) -> UpstreamError:
    """Return what these frames make of a conversation."""

    async def talk() -> None:
        transport = Transport()
        async with conversing(transport, **how):
            transport.say(*frames)
            await asyncio.sleep(1)

    return failing(talk)


def test_what_waits_for_the_connection_is_sent_in_order() -> None:
    messages = [str(number).encode() for number in range(1000)]

    async def main() -> Transport:
        transport = Transport()
        async with conversing(transport, early=messages) as upstream:
            assert transport.taken == messages[:1]
            transport.free()
            upstream.send(b"last")
        return transport

    transport = virtual.run(main())
    assert transport.taken == [*messages, b"last"]
    assert transport.closes == [WSCloseCode.OK]


@pytest.mark.parametrize(
    "messages",
    [[b"x"] * (client.MAX_QUEUED_MESSAGES + 1), [b"x" * 2**20] * 17],
    ids=["too many", "too large"],
)
@pytest.mark.parametrize("is_early", [False, True])
def test_an_upstream_that_does_not_keep_up_counts_as_lost(
    messages: list[bytes], *, is_early: bool
) -> None:
    async def talk() -> None:
        early = messages if is_early else []
        async with conversing(Transport(), early=early) as upstream:
            upstream.send(b"more is not taken")
            for message in messages:
                upstream.send(message)
            await asyncio.sleep(0)

    error = failing(talk)
    assert isinstance(error, UpstreamLost)
    assert error.code == "upstream_stalled"


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("ws://x/v1/realtime", "ws://x/v1/realtime?model=m"),
        ("ws://x/v1/realtime?model=own", "ws://x/v1/realtime?model=own"),
        ("ws://x/r?api-version=1", "ws://x/r?api-version=1&model=m"),
        ("ws://a:b@x/r#there", "ws://x/r?model=m"),
    ],
)
def test_the_model_is_asked_for_in_the_url_unless_it_names_one(
    url: str, asked: str
) -> None:
    async def main() -> list[str]:
        transport = Transport()
        async with conversing(transport, url=url):
            pass
        return transport.urls

    assert virtual.run(main()) == [asked]


@pytest.mark.parametrize(
    ("url", "key", "shown"),
    [
        ("ws://x/r", "sk-1", "Bearer sk-1"),
        ("ws://a:b@x/r", "sk-1", "Bearer sk-1"),
        ("ws://a:b@x/r", "", "Basic YTpi"),
        ("ws://x/r", "", None),
    ],
)
def test_the_key_is_shown_or_else_what_the_url_has(
    url: str, key: str, shown: str | None
) -> None:
    async def main() -> dict[str, str]:
        transport = Transport()
        async with conversing(transport, url=url, key=key):
            pass
        return transport.headers

    assert virtual.run(main()).get("Authorization") == shown


def test_who_can_wait_leaves_room_for_who_cannot() -> None:
    async def main() -> None:
        async with conversing(Transport()) as upstream, asyncio.TaskGroup() as tasks:

            async def feed() -> None:
                while True:
                    await upstream.room(1)
                    upstream.send(b"x")

            feeding = tasks.create_task(feed())
            await asyncio.sleep(1)
            for _ in range(client.MAX_QUEUED_MESSAGES // 2):
                upstream.append(bytes(960))
            await asyncio.sleep(1)
            assert upstream.waiting == client.MAX_QUEUED_MESSAGES
            feeding.cancel()

    virtual.run(main())


def test_nobody_waits_for_room_when_the_conversation_is_over() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as tasks, conversing(Transport()) as upstream:
            for _ in range(client.MAX_QUEUED_MESSAGES):
                upstream.send(b"x")
            waiting = tasks.create_task(upstream.room(1))
            await asyncio.sleep(1)
            assert not waiting.done()

    virtual.run(main())


def test_who_asks_for_room_first_never_fills_the_queue() -> None:
    sent = [b"x" * 2**20] * 40 + [b"y" * 2**24] + [b"z"] * 3000

    async def main() -> list[bytes]:
        transport = Transport()
        async with conversing(transport) as upstream, asyncio.TaskGroup() as tasks:

            async def feed() -> None:
                for message in sent:
                    await upstream.room(len(message))
                    upstream.send(message)

            feeding = tasks.create_task(feed())
            await asyncio.sleep(1)
            assert not feeding.done()
            transport.free()
            await feeding
        return transport.taken

    assert virtual.run(main()) == sent


def test_an_upstream_that_answers_no_close_is_cut_off() -> None:
    async def main() -> Transport:
        transport = Transport(is_polite=False)
        async with asyncio.timeout(10), conversing(transport):
            pass
        return transport

    assert virtual.run(main()).is_gone


def test_leave_is_taken_of_an_upstream_that_answers_who_has_given_up() -> None:
    transports = []

    async def talk() -> None:
        transports.append(Transport())
        early = [b"x"] * (client.MAX_QUEUED_MESSAGES + 1)
        async with conversing(transports[0], early=early):
            pass

    assert failing(talk).code == "upstream_stalled"
    assert transports[0].closes == [WSCloseCode.OK]


def test_a_client_is_freed_when_its_session_is_over_not_in_a_collection() -> None:
    async def main() -> weakref.ref[RealtimeClient]:
        async with conversing(Transport()) as upstream:
            return weakref.ref(upstream)

    with no_collection():
        assert virtual.run(main())() is None


def test_an_upstream_is_cut_off_at_once_when_even_the_leave_is_cut_short() -> None:
    async def main() -> Transport:
        transport = Transport(is_polite=False)
        with contextlib.suppress(TimeoutError):
            async with (
                asyncio.timeout(connection.CLOSE_TIMEOUT_S / 2),
                conversing(transport),
            ):
                pass
        return transport

    assert virtual.run(main()).is_gone


def test_a_silent_upstream_that_answers_pings_is_kept() -> None:
    async def main() -> Transport:
        transport = Transport(is_free=True, answers=True)
        async with conversing(transport):
            await asyncio.sleep(60)
        return transport

    assert virtual.run(main()).pings > 1


@pytest.mark.parametrize("reads", [False, True])
def test_an_upstream_that_answers_no_ping_counts_as_lost(*, reads: bool) -> None:
    async def talk() -> None:
        async with conversing(Transport(is_free=reads)) as upstream:
            upstream.send(b"x")
            await asyncio.sleep(client.HEARTBEAT_S + client.PONG_S)

    error = failing(talk)
    assert isinstance(error, UpstreamLost)
    assert error.message == "The Realtime API stopped answering."


@pytest.mark.parametrize("reads", [False, True])
def test_a_ping_is_answered_in_its_own_words_if_the_answer_is_read(
    *, reads: bool
) -> None:
    async def main() -> Transport:
        transport = Transport(is_free=reads)
        async with conversing(transport) as upstream:
            upstream.send(b"x")
            transport.say(Frame(WSMsgType.PING, b"words"))
        return transport

    assert virtual.run(main()).pongs == [b"words"] * reads


@pytest.mark.parametrize("kind", [WSMsgType.TEXT, WSMsgType.PONG])
def test_who_says_a_crowd_of_things_at_once_is_heard_on_after_the_others(
    kind: WSMsgType,
) -> None:
    early = Frame(kind, b"{}", last_in_buffer=False)
    last = Frame(kind, b"{}")

    async def main() -> list[bool]:
        transport, reads = Transport(), []
        async with conversing(transport):
            for crowd in (connection.CROWD_FRAMES, connection.CROWD_FRAMES + 1):
                transport.say(*[early] * (crowd - 1), last)
                reads.append(transport.is_reading)
            await asyncio.sleep(0)
            reads.append(transport.is_reading)
        return reads

    assert virtual.run(main()) == [True, False, True]


def test_a_message_in_several_frames_is_heard_whole_and_pings_between() -> None:
    async def main() -> tuple[Receiver, Transport]:
        transport, receiver = Transport(), Receiver()
        async with conversing(transport, receiver):
            transport.say(
                Frame(WSMsgType.TEXT, b'{"type":', fin=False),
                Frame(WSMsgType.PING),
                Frame(WSMsgType.CONTINUATION, b'"a', fin=False),
                Frame(WSMsgType.CONTINUATION, b'"}'),
                Frame(WSMsgType.TEXT, b'{"type":"b"}'),
            )
        return receiver, transport

    receiver, transport = virtual.run(main())
    assert receiver.heard == [b'{"type":"a"}', b'{"type":"b"}']
    assert transport.pongs == [b""]


@pytest.mark.parametrize(
    "frame",
    [
        Frame(WSMsgType.TEXT, b"{}", rsv1=True),
        Frame(WSMsgType.TEXT, b"{}", rsv2=True),
        Frame(WSMsgType.PING, rsv3=True),
        Frame(WSMsgType.CONTINUATION, b"{}"),
        Frame(WSMsgType.BINARY, b"{}"),
    ],
    ids=["compressed", "reserved", "reserved ping", "no beginning", "binary"],
)
def test_frames_that_nobody_agreed_on_end_the_session(frame: Frame) -> None:
    error = saying(frame)
    assert isinstance(error, UpstreamLost)
    assert error.code == "upstream_protocol"


def test_a_message_too_large_in_all_ends_the_session() -> None:
    half = b"x" * (connection.MAX_MESSAGE_BYTES // 2)
    error = saying(
        Frame(WSMsgType.TEXT, half, fin=False),
        Frame(WSMsgType.CONTINUATION, half, fin=False),
        Frame(WSMsgType.CONTINUATION, b"x"),
    )
    assert error.code == "upstream_message_too_large"


def test_nothing_is_heard_of_an_upstream_that_has_closed() -> None:
    receiver = Receiver()
    error = saying(
        Frame(WSMsgType.CLOSE, b"because of sk-1", code=4000),
        Frame(WSMsgType.TEXT, b'{"type":"a"}'),
        receiver=receiver,
        key="sk-1",
    )
    assert (error.close_code, error.close_reason) == (4000, "because of [key]")
    assert receiver.heard == []


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (None, "upstream_lost"),
        (WSCloseCode.PROTOCOL_ERROR, "upstream_protocol"),
        (WSCloseCode.MESSAGE_TOO_BIG, "upstream_message_too_large"),
    ],
)
def test_an_end_without_a_close_is_told_by_what_picows_said(
    said: WSCloseCode | None, code: str
) -> None:
    async def talk() -> None:
        transport = Transport()
        async with conversing(transport):
            if said is not None:
                sent = SimpleNamespace(code=said)
                transport.close_handshake = SimpleNamespace(sent=sent)
            transport.listener.on_ws_disconnected(transport)
            await asyncio.sleep(1)

    assert failing(talk).code == code


def test_nothing_is_heard_behind_what_picows_has_refused() -> None:
    async def main() -> list[bytes]:
        transport, receiver = Transport(is_polite=False), Receiver()
        async with conversing(transport, receiver):
            transport.send_close(WSCloseCode.MESSAGE_TOO_BIG)  # as picows does
            transport.say(Frame(WSMsgType.TEXT, b'{"type":"a"}'))
        return receiver.heard

    assert virtual.run(main()) == []


def test_what_a_session_raises_ends_it() -> None:
    class Refusing(Receiver):
        def upstream_event(self, event: UpstreamEvent, message: bytes) -> None:
            raise UpstreamRefused("no", "Not like this.")

    receiver = Refusing()
    assert saying(Frame(WSMsgType.TEXT, b"{}"), receiver=receiver).code == "no"
