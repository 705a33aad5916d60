"""The UDP socket of both services, over loopback."""

import asyncio
import socket
from collections.abc import Callable

import pytest

from runtime import udp
from runtime.udp import (
    BURST,
    JUDGED_S,
    MAX_DATAGRAM_BYTES,
    TICK_S,
    UdpAddress,
    UdpSocket,
)
from tests.support.waiting import LIMIT_S


@pytest.fixture(params=["many at a time", "one by one"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each test run both ways, where bursts were compiled."""
    if request.param == "one by one":
        monkeypatch.setattr(udp, "HAS_BURSTS", False)
    elif not udp.HAS_BURSTS:
        pytest.skip("bursts were not compiled")


class Inbox:
    """Keeps what came, and lets a test wait for it."""

    def __init__(self) -> None:
        self.datagrams: list[tuple[bytes, UdpAddress]] = []
        self._changed = asyncio.Event()

    def receive(self, data: bytes, address: UdpAddress) -> None:
        self.datagrams.append((data, address))
        self._changed.set()

    async def wait_for(self, count: int) -> list[bytes]:
        async with asyncio.timeout(LIMIT_S):
            while len(self.datagrams) < count:
                self._changed.clear()
                await self._changed.wait()
        return [data for data, _ in self.datagrams]

    async def wait_until_there_is(self, wanted: bytes) -> None:
        while wanted not in await self.wait_for(1):
            await self.wait_for(len(self.datagrams) + 1)


@pytest.mark.asyncio
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_datagrams_arrive_whole_with_their_sender(host: str) -> None:
    inbox = Inbox()
    receiver, sender = UdpSocket(host, 0, inbox.receive), UdpSocket(host, 0, print)
    for data in (b"one", b"", bytes(MAX_DATAGRAM_BYTES)):
        sender.send(data, receiver.address)
    assert await inbox.wait_for(3) == [b"one", b"", bytes(MAX_DATAGRAM_BYTES)]
    assert {address for _, address in inbox.datagrams} == {sender.address}
    receiver.close()
    sender.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("reads_runs", [None, bool])
async def test_runs_of_datagrams_arrive_one_by_one(
    host: str, reads_runs: Callable[[bytes], bool] | None
) -> None:
    inbox = Inbox()
    receiver = UdpSocket(host, 0, inbox.receive, runs_of=reads_runs)
    sender = UdpSocket(host, 0, print, runs_of=bool)
    sent = [bytes((number,)) * 1_050 for number in range(100)]
    sent += [b"short", b"", b"", b"last"]
    for data in sent:
        sender.send(data, receiver.address)
    assert await inbox.wait_for(len(sent)) == sent
    assert {address for _, address in inbox.datagrams} == {sender.address}
    assert sender.dropped_sends == 0
    receiver.close()
    sender.close()


@pytest.mark.asyncio
async def test_runs_of_two_senders_are_told_apart() -> None:
    inbox = Inbox()
    receiver = UdpSocket("127.0.0.1", 0, inbox.receive, runs_of=bool)
    sender, stranger = (UdpSocket("127.0.0.1", 0, print, runs_of=bool) for _ in "12")
    for number in range(8):
        sender.send(bytes((number,)) * 50, receiver.address)
        stranger.send(bytes((number,)) * 60, receiver.address)
    received = await inbox.wait_for(16)
    assert sorted(map(len, received)) == [50] * 8 + [60] * 8
    assert {(len(data), address) for data, address in inbox.datagrams} == {
        (50, sender.address),
        (60, stranger.address),
    }
    for each in (receiver, sender, stranger):
        each.close()


@pytest.mark.asyncio
async def test_many_peers_are_told_apart() -> None:
    inbox = Inbox()
    receiver = UdpSocket("127.0.0.1", 0, inbox.receive)
    peers = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(3 * BURST)]
    for number, peer in enumerate(peers):
        peer.bind(("127.0.0.1", 0))
        peer.sendto(number.to_bytes(2), receiver.address)
    await inbox.wait_for(len(peers))
    addresses = [peer.getsockname() for peer in peers]
    assert inbox.datagrams == [
        (number.to_bytes(2), address) for number, address in enumerate(addresses)
    ]
    for _ in range(2):  # by addresses that are known, too
        for data, address in inbox.datagrams:
            receiver.send(bytearray(data), address)
            receiver.send(memoryview(data + b"and")[:4], address)
        await asyncio.sleep(0)
        for number, peer in enumerate(peers):
            name = number.to_bytes(2)
            assert [peer.recv(9), peer.recv(9)] == [name, name + b"an"]
    assert receiver.dropped_sends == 0
    receiver.close()
    for peer in peers:
        peer.close()


@pytest.mark.asyncio
async def test_what_cannot_be_addressed_is_counted_and_costs_no_other() -> None:
    inbox = Inbox()
    receiver = UdpSocket("127.0.0.1", 0, inbox.receive)
    receiver.send(b"lost", ("::1", 9))
    receiver.send(b"whole", receiver.address)
    receiver.send(bytes(70_000), receiver.address)
    receiver.send(b"too", receiver.address)
    assert await inbox.wait_for(2) == [b"whole", b"too"]
    assert receiver.dropped_sends == 2
    receiver.close()


@pytest.mark.asyncio
async def test_an_answer_that_nobody_takes_does_not_stop_the_reading() -> None:
    inbox = Inbox()
    receiver, sender = (UdpSocket("127.0.0.1", 0, inbox.receive) for _ in range(2))
    gone = UdpSocket("127.0.0.1", 0, print)
    nobody = gone.address
    gone.close()
    for _ in range(3):  # ICMP port unreachable comes back to this socket
        receiver.send(b"hello", nobody)
    sender.send(b"still here", receiver.address)
    assert await inbox.wait_for(1) == [b"still here"]
    receiver.close()
    sender.close()


@pytest.mark.asyncio
async def test_what_cannot_be_sent_is_counted() -> None:
    sender = UdpSocket("127.0.0.1", 0, print)
    sender.send(bytes(70_000), ("127.0.0.1", 9))
    await asyncio.sleep(0)
    assert sender.dropped_sends == 1
    sender.close()


@pytest.mark.asyncio
async def test_a_socket_may_be_closed_from_its_own_callback() -> None:
    inbox, faults = Inbox(), list[dict[str, object]]()
    asyncio.get_running_loop().set_exception_handler(
        lambda _, fault: faults.append(fault)
    )

    def close(data: bytes, address: UdpAddress) -> None:
        inbox.receive(data, address)
        receiver.close()

    receiver = UdpSocket("127.0.0.1", 0, close)
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        for _ in range(3):
            sender.sendto(b"x", receiver.address)
        assert await inbox.wait_for(1) == [b"x"]
    receiver.close()
    assert faults == []


@pytest.mark.asyncio
@pytest.mark.parametrize("in_ticks", [False, True])
async def test_a_datagram_that_breaks_us_costs_no_other(
    caplog: pytest.LogCaptureFixture, *, in_ticks: bool
) -> None:
    inbox = Inbox()

    def take(data: bytes, address: UdpAddress) -> None:
        inbox.receive(data, address)
        if data == b"bad":
            raise RuntimeError("a bug of ours")

    receiver = UdpSocket("127.0.0.1", 0, take, in_ticks=in_ticks)
    sender = UdpSocket("127.0.0.1", 0, print)
    loop = asyncio.get_running_loop()
    end = loop.time() + 3 * JUDGED_S
    while loop.time() < end:  # until it is looked at in ticks, if it ever is
        sender.send(b"busy", receiver.address)
        await asyncio.sleep(0)
    inbox.datagrams.clear()
    for data in (b"bad", b"same burst"):
        sender.send(data, receiver.address)
    await inbox.wait_until_there_is(b"same burst")
    sender.send(b"later", receiver.address)
    await inbox.wait_until_there_is(b"later")
    assert "a bug of ours" in caplog.text
    receiver.close()
    sender.close()


@pytest.mark.asyncio
async def test_a_taken_port_is_named() -> None:
    first = UdpSocket("127.0.0.1", 0, print)
    with pytest.raises(OSError, match=f"UDP 127.0.0.1 port {first.address[1]}"):
        UdpSocket("127.0.0.1", first.address[1], print)
    first.close()


@pytest.mark.asyncio
async def test_a_busy_socket_still_gets_everything_and_calms_down() -> None:
    inbox = Inbox()
    receiver = UdpSocket("127.0.0.1", 0, inbox.receive, in_ticks=True)
    sender = UdpSocket("127.0.0.1", 0, print)
    sent = 0
    loop = asyncio.get_running_loop()
    for pause_s in (0.0, 0.05):  # far more often than ticks, then seldom
        end = loop.time() + 6 * JUDGED_S
        while loop.time() < end:
            sender.send(sent.to_bytes(4), receiver.address)
            sent += 1
            await asyncio.sleep(pause_s)
    received = await inbox.wait_for(sent)
    assert received == [number.to_bytes(4) for number in range(sent)]
    receiver.close()
    sender.close()


@pytest.mark.asyncio
async def test_a_busy_socket_can_be_closed_between_two_ticks() -> None:
    inbox = Inbox()
    receiver = UdpSocket("127.0.0.1", 0, inbox.receive, in_ticks=True)
    sender = UdpSocket("127.0.0.1", 0, print)
    end = asyncio.get_running_loop().time() + 2 * JUDGED_S
    while asyncio.get_running_loop().time() < end or not inbox.datagrams:
        sender.send(b"more", receiver.address)
        await asyncio.sleep(0)
    receiver.close()
    count = len(inbox.datagrams)
    await asyncio.sleep(10 * TICK_S)
    assert len(inbox.datagrams) == count > 0
    sender.close()


@pytest.mark.asyncio
async def test_what_is_said_last_is_sent_before_the_port_is_released() -> None:
    inbox = Inbox()
    receiver = UdpSocket("127.0.0.1", 0, inbox.receive)
    sender = UdpSocket("127.0.0.1", 0, print)
    sender.send(b"goodbye", receiver.address)
    sender.close()
    assert await inbox.wait_for(1) == [b"goodbye"]
    receiver.close()
