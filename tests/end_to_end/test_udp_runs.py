"""Runs of datagrams that a path takes not, or a hostile peer sends, over loopback."""

import asyncio
import errno
import socket
import sys

import pytest

from proto.frames import FRAME_BYTES, UpFrame
from runtime import segments
from runtime.segments import MAX_RUN, Data
from runtime.udp import BURST, UdpAddress, UdpSocket
from tests.end_to_end.test_link_over_udp import running
from tests.end_to_end.test_udp_socket import Inbox
from tests.support.waiting import until

needs_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="nothing else has runs of datagrams"
)


class Paths:
    """Stands before `segments.send`: some addresses take no runs.

    Attributes:
        refusing: The error that each address gives.
        sent: Lengths of the runs tried, by address.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refusing: dict[UdpAddress, int] = {}
        self.sent: dict[UdpAddress, list[int]] = {}
        self._send = segments.send
        monkeypatch.setattr(segments, "send", self._try)

    def _try(self, sender: socket.socket, run: list[Data], to: UdpAddress) -> None:
        self.sent.setdefault(to, []).append(len(run))
        if to in self.refusing:
            raise OSError(self.refusing[to], "refused")
        self._send(sender, run, to)


async def send_turns(sender: UdpSocket, *to: UdpAddress, turns: int = 2) -> None:
    """Send three datagrams to each address in each turn of the loop."""
    for turn in range(turns):
        for address in to:
            for number in range(3):
                sender.send(bytes((turn, number)), address)
        await asyncio.sleep(0)


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO, errno.EMSGSIZE])
async def test_a_path_that_takes_no_runs_costs_no_other_its_own(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    near, far, paths = Inbox(), Inbox(), Paths(monkeypatch)
    sender = UdpSocket("127.0.0.1", 0, print, runs_of=bool)
    good, bad = (UdpSocket("127.0.0.1", 0, one.receive) for one in (near, far))
    paths.refusing[bad.address] = code
    await send_turns(sender, bad.address, good.address)
    sent = [bytes((turn, number)) for turn in range(2) for number in range(3)]
    assert await near.wait_for(6) == sent
    assert await far.wait_for(6) == sent
    assert paths.sent == {bad.address: [3], good.address: [3, 3]}
    assert sender.dropped_sends == 0
    for each in (sender, good, bad):
        each.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "code", [errno.EAGAIN, errno.ENOBUFS, errno.EPERM, errno.ECONNREFUSED]
)
async def test_an_error_that_passes_ends_no_runs(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    inbox, paths = Inbox(), Paths(monkeypatch)
    sender = UdpSocket("127.0.0.1", 0, print, runs_of=bool)
    receiver = UdpSocket("127.0.0.1", 0, inbox.receive)
    paths.refusing[receiver.address] = code
    await send_turns(sender, receiver.address)
    assert len(await inbox.wait_for(6)) == 6
    assert paths.sent == {receiver.address: [3, 3]}
    sender.close()
    receiver.close()


@pytest.mark.asyncio
async def test_each_datagram_of_a_lost_run_is_counted_once() -> None:
    sender = UdpSocket("127.0.0.1", 0, print, runs_of=bool)
    for _ in range(3):
        sender.send(b"x", ("127.0.0.1", 0))  # no port
    await asyncio.sleep(0)
    assert sender.dropped_sends == 3
    sender.close()


@pytest.mark.asyncio
async def test_a_turn_of_the_loop_is_bounded_however_small_the_datagrams() -> None:
    inbox = Inbox()
    receiver = UdpSocket("127.0.0.1", 0, inbox.receive, runs_of=bool)
    with socket.socket(type=socket.SOCK_DGRAM) as stranger:
        for _ in range(20):
            segments.send(stranger, [b"x"] * MAX_RUN, receiver.address)
    most = len(await inbox.wait_for(1))
    while len(inbox.datagrams) < 20 * MAX_RUN:
        before = len(inbox.datagrams)
        most = max(most, len(await inbox.wait_for(before + 1)) - before)
    assert most < BURST + MAX_RUN
    receiver.close()


@needs_linux
@pytest.mark.asyncio
async def test_of_a_run_that_is_not_ours_only_the_first_is_read() -> None:
    inbox = Inbox()
    receiver = UdpSocket(
        "127.0.0.1", 0, inbox.receive, runs_of=lambda first: first == b"ours"
    )
    sender = UdpSocket("127.0.0.1", 0, print, runs_of=bool)
    for datagrams in ([b"no", b"no"], [b"ours", b"and"], [b"last"]):
        for data in datagrams:
            sender.send(data, receiver.address)
    expected = [b"no", b"ours", b"and", b"last"]
    assert await inbox.wait_for(4) == expected
    receiver.close()
    sender.close()


@needs_linux
@pytest.mark.asyncio
async def test_a_link_reads_its_own_runs_whole_and_a_strangers_not() -> None:
    async with running() as pair:
        edge, relay = await pair.open()
        assert edge.session is not None
        with socket.socket(type=socket.SOCK_DGRAM) as stranger:
            to = (pair.listener.address.host, pair.listener.address.port)
            segments.send(stranger, [b"x"] * MAX_RUN, to)
        for number in range(40):
            edge.session.send_up(UpFrame(480 * number, 0, 0, bytes(FRAME_BYTES)))
        await until(lambda: len(edge.frames) == 40)
        assert len(relay.frames) == 40
        assert pair.listener.refused == 1
        assert pair.listener.stats.datagrams_missing == 0
        assert pair.dialer.stats.datagrams_missing == 0
