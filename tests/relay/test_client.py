"""The WebSocket client's queue, with a WebSocket that is slow to take anything."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from aiohttp import ClientSession, WSMessage, WSMsgType

from relay.upstream import client
from relay.upstream.client import RealtimeClient
from relay.upstream.events import UpstreamEvent
from relay.upstream.port import UpstreamLost
from tests.support import clock as virtual


class StuckSocket:
    """Takes nothing and says nothing, until it is let go."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.taken: list[bytes] = []
        self.is_closed = False

    async def send_frame(self, payload: bytes, opcode: WSMsgType) -> None:
        assert opcode is WSMsgType.TEXT
        await self.free.wait()
        self.taken.append(payload)

    async def receive(self) -> Any:
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.is_closed = True


class QuietSocket(StuckSocket):
    """Takes what it gets, and says what the test has it say; answers pings or not."""

    def __init__(self, *, answers: bool) -> None:
        super().__init__()
        self.free.set()
        self.pings = 0
        self.pongs: list[bytes] = []
        self.says: asyncio.Queue[WSMessage] = asyncio.Queue()
        self._answers = answers

    async def receive(self) -> Any:
        return await self.says.get()

    async def ping(self) -> None:
        self.pings += 1
        if self._answers:
            self.says.put_nowait(WSMessage(WSMsgType.PONG, b"", None))

    async def pong(self, message: bytes) -> None:
        self.pongs.append(message)


class StuckHttp:
    """Connects to the stuck socket."""

    def __init__(self, socket: StuckSocket) -> None:
        self.socket = socket
        self.urls: list[str] = []

    async def ws_connect(self, url: object, **_: object) -> StuckSocket:
        self.urls.append(str(url))
        return self.socket


def client_of(http: StuckHttp, url: str = "ws://x/v1") -> RealtimeClient:
    return RealtimeClient(cast("ClientSession", http), url, "", {"model": "m"})


class Nobody:
    has_media = True

    def upstream_connected(self) -> None:
        pass

    def upstream_event(self, event: UpstreamEvent, message: bytes) -> None:
        raise AssertionError("nothing is said")


def converse(messages: list[bytes], free_after_s: float) -> StuckSocket:
    async def main() -> StuckSocket:
        socket = StuckSocket()
        upstream = client_of(StuckHttp(socket))
        for message in messages:
            upstream.send(message)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(upstream.run(Nobody(), tasks))
            await asyncio.sleep(free_after_s)
            socket.free.set()
            await asyncio.sleep(0.1)
            running.cancel()
        return socket

    return virtual.run(main())


def test_what_waits_for_the_connection_is_sent_in_order() -> None:
    messages = [str(number).encode() for number in range(1000)]
    socket = converse(messages, free_after_s=1.0)
    assert socket.taken == messages
    assert socket.is_closed


@pytest.mark.parametrize(
    "messages",
    [[b"x"] * (client.MAX_QUEUED_MESSAGES + 1), [b"x" * 2**20] * 17],
    ids=["too many", "too large"],
)
def test_an_upstream_that_does_not_keep_up_counts_as_lost(
    messages: list[bytes],
) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        converse(messages, free_after_s=1.0)
    (error,) = caught.value.exceptions
    assert isinstance(error, UpstreamLost)
    assert error.code == "upstream_stalled"


def test_an_upstream_that_takes_nothing_more_counts_as_lost_at_once() -> None:
    async def main() -> None:
        upstream = client_of(StuckHttp(StuckSocket()))
        async with asyncio.timeout(1), asyncio.TaskGroup() as tasks:
            tasks.create_task(upstream.run(Nobody(), tasks))
            await asyncio.sleep(0.1)
            upstream.send(b"the writer is stuck in this one")
            await asyncio.sleep(0.1)
            for _ in range(client.MAX_QUEUED_MESSAGES + 1):
                upstream.send(b"x")

    with pytest.raises(ExceptionGroup) as caught:
        virtual.run(main())
    (error,) = caught.value.exceptions
    assert isinstance(error, UpstreamLost)
    assert error.code == "upstream_stalled"


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("ws://x/v1/realtime", "ws://x/v1/realtime?model=m"),
        ("ws://x/v1/realtime?model=own", "ws://x/v1/realtime?model=own"),
        ("ws://x/r?api-version=1", "ws://x/r?api-version=1&model=m"),
    ],
)
def test_the_model_is_asked_for_in_the_url_unless_it_names_one(
    url: str, asked: str
) -> None:
    async def main() -> list[str]:
        http = StuckHttp(StuckSocket())
        upstream = client_of(http, url)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(upstream.run(Nobody(), tasks))
            await asyncio.sleep(0)
            running.cancel()
        return http.urls

    assert virtual.run(main()) == [asked]


def test_who_can_wait_leaves_room_for_who_cannot() -> None:
    async def main() -> None:
        upstream = client_of(StuckHttp(StuckSocket()))

        async def feed() -> None:
            while True:
                await upstream.room(1)
                upstream.send(b"x")

        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(upstream.run(Nobody(), tasks))
            feeding = tasks.create_task(feed())
            await asyncio.sleep(1)
            for _ in range(client.MAX_QUEUED_MESSAGES // 2):
                upstream.append(bytes(960))
            await asyncio.sleep(1)
            assert not running.done()
            feeding.cancel()
            running.cancel()

    virtual.run(main())


def test_nobody_waits_for_room_when_the_conversation_is_over() -> None:
    async def main() -> None:
        upstream = client_of(StuckHttp(StuckSocket()))
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(upstream.run(Nobody(), tasks))
            await asyncio.sleep(0.1)
            for _ in range(client.MAX_QUEUED_MESSAGES):
                upstream.send(b"x")
            waiting = tasks.create_task(upstream.room(1))
            await asyncio.sleep(1)
            assert not waiting.done()
            running.cancel()

    virtual.run(main())


def test_an_upstream_that_talks_on_after_the_close_is_cut_off() -> None:
    class Talkative(StuckSocket):
        async def close(self) -> None:
            await asyncio.Event().wait()

    async def main() -> None:
        upstream = client_of(StuckHttp(Talkative()))
        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(upstream.run(Nobody(), tasks))
            await asyncio.sleep(0.1)
            running.cancel()

    virtual.run(main())


def test_who_asks_for_room_first_never_fills_the_queue() -> None:
    sent = [b"x" * 2**20] * 40 + [b"y" * 2**24] + [b"z"] * 3000

    async def main() -> list[bytes]:
        socket = StuckSocket()
        upstream = client_of(StuckHttp(socket))

        async def feed() -> None:
            for message in sent:
                await upstream.room(len(message))
                upstream.send(message)

        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(upstream.run(Nobody(), tasks))
            feeding = tasks.create_task(feed())
            await asyncio.sleep(1)
            assert not feeding.done()
            socket.free.set()
            await feeding
            await asyncio.sleep(1)
            running.cancel()
        return socket.taken

    assert virtual.run(main()) == sent


async def listen(socket: QuietSocket, seconds: float) -> None:
    upstream = client_of(StuckHttp(socket))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(upstream.run(Nobody(), tasks))
        await asyncio.sleep(seconds)
        running.cancel()


def test_a_silent_upstream_that_answers_pings_is_kept() -> None:
    async def main() -> QuietSocket:
        socket = QuietSocket(answers=True)
        await listen(socket, seconds=60.0)
        return socket

    assert virtual.run(main()).pings > 1


def test_an_upstream_that_answers_no_ping_counts_as_lost() -> None:
    async def main() -> None:
        limit_s = client.HEARTBEAT_S + client.PONG_S + 0.1
        await listen(QuietSocket(answers=False), limit_s)

    with pytest.raises(ExceptionGroup) as caught:
        virtual.run(main())
    (error,) = caught.value.exceptions
    assert isinstance(error, UpstreamLost)
    assert (error.code, error.message) == (
        "upstream_lost",
        "The Realtime API stopped answering.",
    )


def test_a_ping_of_the_upstreams_is_answered_with_its_own_words() -> None:
    async def main() -> QuietSocket:
        socket = QuietSocket(answers=True)
        socket.says.put_nowait(WSMessage(WSMsgType.PING, b"words", None))
        await listen(socket, seconds=1.0)
        return socket

    assert virtual.run(main()).pongs == [b"words"]


class Hurried:
    """Takes sends at once while it is free; else each waits, one step done."""

    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.free.set()
        self.begun: list[bytes] = []
        self.ended: list[bytes] = []

    async def send_frame(self, payload: bytes, opcode: WSMsgType) -> None:
        self.begun.append(payload)
        if not self.free.is_set():
            await self.free.wait()
        self.ended.append(payload)

    async def receive(self) -> Any:
        await asyncio.Event().wait()

    async def close(self) -> None:
        pass


@contextlib.asynccontextmanager
async def hurrying() -> AsyncIterator[tuple[Hurried, RealtimeClient]]:
    """Hold a session over such a socket, and end it afterwards."""
    socket = Hurried()
    upstream = client_of(StuckHttp(cast("StuckSocket", socket)))
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(upstream.run(Nobody(), tasks))
        await asyncio.sleep(0.1)
        yield socket, upstream
        running.cancel()


def test_what_is_sent_while_the_peer_reads_leaves_within_the_call() -> None:
    async def main() -> None:
        async with hurrying() as (socket, upstream):
            upstream.send(b"1")
            assert socket.ended == [b"1"]

    virtual.run(main())


def test_what_follows_a_send_that_waits_keeps_its_order() -> None:
    async def main() -> Hurried:
        async with hurrying() as (socket, upstream):
            socket.free.clear()
            for number in range(3):
                upstream.send(str(number).encode())
            assert socket.begun == [b"0"]
            await asyncio.sleep(0.1)
            assert (socket.begun, socket.ended) == ([b"0"], [])
            socket.free.set()
            await asyncio.sleep(0.1)
            upstream.send(b"3")
        return socket

    assert virtual.run(main()).ended == [b"0", b"1", b"2", b"3"]


def test_a_send_that_waits_when_the_session_ends_is_given_up() -> None:
    async def main() -> Hurried:
        async with hurrying() as (socket, upstream):
            socket.free.clear()
            upstream.send(b"0")
            await asyncio.sleep(0.1)
        return socket

    assert virtual.run(main()).ended == []
