"""The link's shell over real loopback sockets."""

import asyncio
import socket
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proto import greeting
from proto.errors import CloseCode, NotConnected
from proto.frames import FRAME_BYTES, DownFrame, UpFrame
from proto.udp import Dialer, LinkSession, Listener
from runtime.settings import Address
from tests.support.freeing import no_collection
from tests.support.waiting import until

KEY = bytes(range(32))


class Caller:
    """Receives a session; writes down what it is told."""

    def __init__(self) -> None:
        self.session: LinkSession | None = None
        self.told: list[tuple[object, ...]] = []
        self.frames: list[UpFrame | DownFrame] = []
        self.fails = False

    def opened(self) -> None:
        self.told.append(("opened",))

    def event_received(self, payload: bytes) -> None:
        self.told.append(("event", payload))

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        if self.fails:
            raise RuntimeError("a bug of the service")
        self.frames.append(frame)
        if isinstance(frame, UpFrame) and self.session is not None:
            self.session.send_down(
                DownFrame(1, frame.position_samples, 0, frame.payload)
            )

    def frames_lost(self, count: int) -> None:
        self.told.append(("lost", count))

    def flush_requested(self, talkspurt: int) -> None:
        assert self.session is not None
        self.session.flushed(talkspurt, 77)

    def flush_done(self, talkspurt: int, heard_samples: int) -> None:
        self.told.append(("flushed", talkspurt, heard_samples))

    def closed(self, code: CloseCode, reason: str) -> None:
        self.told.append(("closed", code))


class Pair:
    """A dialer and a listener whose sessions are written down."""

    def __init__(self) -> None:
        self.relays: list[Caller] = []
        self.listener = Listener(Address("127.0.0.1", 0), KEY, self._accept)
        self.dialer = Dialer(self.listener.address, KEY)

    def _accept(self, session: LinkSession, request: bytes) -> Caller:
        if request == b"fail":
            raise RuntimeError("a bug of the service")
        caller = Caller()
        caller.session = session
        self.relays.append(caller)
        if request == b"refuse":
            session.close(CloseCode.REFUSED_CAPACITY, "full")
        else:
            session.accept()
        return caller

    async def open(self, request: bytes = b"{}") -> tuple[Caller, Caller]:
        edge = Caller()
        edge.session = self.dialer.open_session(request, edge)
        await until(lambda: edge.told)
        return edge, self.relays[-1] if self.relays else Caller()


@asynccontextmanager
async def running() -> AsyncIterator[Pair]:
    pair = Pair()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(end.run()) for end in (pair.dialer, pair.listener)]
        await until(lambda: pair.dialer.is_up)
        yield pair
        for task in tasks:
            task.cancel()


@pytest.mark.asyncio
async def test_a_session_carries_audio_events_and_flushes_both_ways() -> None:
    async with running() as pair:
        edge, relay = await pair.open()
        assert edge.session is not None
        assert relay.session is not None
        for number in range(50):
            edge.session.send_up(UpFrame(480 * number, 0, 0, bytes(FRAME_BYTES)))
        edge.session.send_event(b"e" * 1_000_000)
        relay.session.send_event(b"hello")
        relay.session.flush(1)
        await until(lambda: len(edge.frames) == 50 and len(relay.told) == 2)
        await until(lambda: len(edge.told) == 2)
        assert edge.told == [("opened",), ("event", b"hello")]
        assert sorted(relay.told, key=str) == [
            ("event", b"e" * 1_000_000),
            ("flushed", 1, 77),
        ]
        positions = [f.position_samples for f in edge.frames if type(f) is DownFrame]
        assert positions == [480 * number for number in range(50)]
        edge.session.close()
        await until(lambda: relay.told[-1] == ("closed", CloseCode.NORMAL))
        await until(lambda: pair.dialer.session_count == 0)
        assert pair.listener.session_count == 0
        assert not edge.session.is_open
        edge.session.send_up(UpFrame(0, 0, 0, b"\0\0"))
        assert edge.session.unsent_frames == 1
        assert pair.listener.stats.frames.received == 50


@pytest.mark.asyncio
async def test_a_refused_session_is_told_why() -> None:
    async with running() as pair:
        edge, _ = await pair.open(b"refuse")
        assert edge.told == [("closed", CloseCode.REFUSED_CAPACITY)]


@pytest.mark.asyncio
async def test_a_receiver_that_raises_costs_its_own_session_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running() as pair:
        bad, bad_relay = await pair.open()
        good, good_relay = await pair.open()
        refused, _ = await pair.open(b"fail")
        bad_relay.fails = True
        for caller in (bad, good):
            assert caller.session is not None
            caller.session.send_up(UpFrame(0, 0, 0, b"\0\0"))
        await until(lambda: bad.told[-1] == ("closed", CloseCode.INTERNAL))
        assert bad_relay.told[-1] == ("closed", CloseCode.INTERNAL)
        await until(lambda: good.frames)
        assert good_relay.frames
        assert refused.told == [("closed", CloseCode.INTERNAL)]
        assert "a bug of the service" in caplog.text


@pytest.mark.asyncio
async def test_a_relay_that_leaves_closes_the_sessions_and_is_dialled_again() -> None:
    pair = Pair()
    async with asyncio.TaskGroup() as group:
        relay = group.create_task(pair.listener.run())
        edge = group.create_task(pair.dialer.run())
        await until(lambda: pair.dialer.is_up)
        caller, _ = await pair.open()
        address = pair.listener.address
        relay.cancel()
        await until(lambda: not pair.dialer.is_up)
        assert caller.told[-1] == ("closed", CloseCode.LINK_LOST)
        with pytest.raises(NotConnected):
            pair.dialer.open_session(b"", caller)
        pair.listener = Listener(address, KEY, pair._accept)
        relay = group.create_task(pair.listener.run())
        await until(lambda: pair.dialer.is_up)
        again, _ = await pair.open()
        assert again.told == [("opened",)]
        relay.cancel()
        edge.cancel()


@pytest.mark.asyncio
async def test_a_link_that_is_lost_goes_without_a_collection() -> None:
    async with running() as pair:
        assert pair.dialer._live is not None
        held = weakref.ref(pair.dialer._live)
        with no_collection():
            for live in tuple(pair.listener._links.values()):
                live.leave("over")
            await until(lambda: pair.dialer.stats.ups == 2)
            assert held() is None


@pytest.mark.asyncio
async def test_a_relay_that_never_answers_is_told_of_once_until_it_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(greeting, "TIMEOUT_S", 0.2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        address = Address(*silent.getsockname())
        dialer = Dialer(address, KEY)
        async with asyncio.TaskGroup() as group:
            edge = group.create_task(dialer.run())
            await until(lambda: dialer.stats.dials >= 3)
            edge.cancel()
    (told,) = caplog.records
    assert "TANDEM_LINK_KEY" in told.message
    assert vars(told)["relay"] == address
    assert vars(told)["reason"] == "no answer"


@pytest.mark.asyncio
async def test_an_edge_that_leaves_misses_no_relay(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running():
        pass
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


@pytest.mark.asyncio
async def test_junk_on_the_listeners_port_changes_nothing() -> None:
    async with running() as pair:
        junk = (b"", b"\0", bytes(16), bytes(90), b"\1\1" + bytes(88), bytes(2000))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for datagram in junk:
                sender.sendto(datagram, pair.listener.address)
        edge, _ = await pair.open()
        assert edge.told == [("opened",)]
        assert pair.listener.refused == len(junk)
