"""The services' dialer against the listener written from PROTOCOL.md, over loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proto.errors import CloseCode
from proto.frames import FRAME_BYTES, DownFrame, UpFrame
from proto.udp import Dialer, LinkSession
from runtime.settings import Address
from tests.second.happenings import Ended, Frame, Happening, Offered, Silent, Told
from tests.second.listener import Listener
from tests.second.session import Session
from tests.support.waiting import until

KEY = bytes(range(32))
TICK_S = 0.005
EVENT = bytes(1_000_000)


class SecondSocket:
    """The second listener on a socket; echoes what it hears."""

    def __init__(self) -> None:
        self.happened: list[Happening] = []
        self._loop = asyncio.get_running_loop()
        self._listener = Listener([KEY], bytes(32))
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(("127.0.0.1", 0))
        self.address = Address(*self._socket.getsockname())

    async def run(self) -> None:
        """Serve until cancelled."""
        self._loop.add_reader(self._socket, self._read)
        try:
            while True:
                self._listener.tick(self._loop.time())
                self.drain()
                await asyncio.sleep(TICK_S)
        finally:
            self._loop.remove_reader(self._socket)
            self._socket.close()

    def session(self, number: int) -> Session:
        (link,) = self._listener.links.values()
        return link.sessions[number]

    def drain(self) -> None:
        """Send what is ready, take what happened, and echo it."""
        now = self._loop.time()
        while out := self._listener.drain(now):
            for datagram, address in out:
                self._socket.sendto(datagram, address)
            while self._listener.happenings:
                self._take(self._listener.happenings.popleft(), now)

    def _read(self) -> None:
        try:
            while True:
                datagram, address = self._socket.recvfrom(2048)
                self._listener.receive(datagram, address, self._loop.time())
                self.drain()
        except BlockingIOError:
            pass

    def _take(self, happening: Happening, now: float) -> None:
        self.happened.append(happening)
        match happening:
            case Offered(number, _):
                self.session(number).accept(now)
            case Frame(number):
                self.session(number).play(1, happening.position, 0, happening.pcm, now)
            case Told(number, payload):
                self.session(number).tell(payload, now)
            case _:
                pass


class Caller:
    """Receives a session; writes down what it is told."""

    def __init__(self) -> None:
        self.session: LinkSession | None = None
        self.told: list[tuple[object, ...]] = []
        self.frames: list[UpFrame | DownFrame] = []

    def opened(self) -> None:
        self.told.append(("opened",))

    def event_received(self, payload: bytes) -> None:
        self.told.append(("event", payload))

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        self.frames.append(frame)

    def frames_lost(self, count: int) -> None:
        self.told.append(("lost", count))

    def flush_requested(self, talkspurt: int) -> None:
        assert self.session is not None
        self.session.flushed(talkspurt, 480)

    def flush_done(self, talkspurt: int, heard_samples: int) -> None:
        raise AssertionError("an edge does not flush")

    def closed(self, code: CloseCode, reason: str) -> None:
        self.told.append(("closed", code, reason))


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Dialer, SecondSocket]]:
    second = SecondSocket()
    dialer = Dialer(second.address, KEY)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(end.run()) for end in (dialer, second)]
        await until(lambda: dialer.is_up)
        yield dialer, second
        for task in tasks:
            task.cancel()


@pytest.mark.asyncio
async def test_a_session_crosses_to_the_second_implementation_and_back() -> None:
    async with connected() as (dialer, second):
        edge = Caller()
        session = edge.session = dialer.open_session(b"{}", edge)
        await until(lambda: ("opened",) in edge.told)
        for number in range(50):
            session.send_up(UpFrame(480 * number, 0, 0, bytes(FRAME_BYTES)))
        session.send_event(EVENT)
        await until(lambda: len(edge.frames) == 50 and len(edge.told) == 2)
        assert edge.told[1] == ("event", EVENT)
        positions = [frame.position_samples for frame in edge.frames]
        assert positions == [480 * number for number in range(50)]

        second.session(session.id).flush(1, asyncio.get_running_loop().time())
        second.drain()
        await until(lambda: Silent(session.id, 1, 480) in second.happened)
        session.close(CloseCode.NORMAL, "done")
        await until(lambda: Ended(session.id, 0, "done") in second.happened)
        await until(lambda: not dialer.session_count)


@pytest.mark.asyncio
async def test_the_second_implementation_closes() -> None:
    async with connected() as (dialer, second):
        edge = Caller()
        session = dialer.open_session(b"{}", edge)
        await until(lambda: ("opened",) in edge.told)
        now = asyncio.get_running_loop().time()
        second.session(session.id).close(CloseCode.UPSTREAM_LOST, "gone", now)
        second.drain()
        await until(lambda: ("closed", CloseCode.UPSTREAM_LOST, "gone") in edge.told)
