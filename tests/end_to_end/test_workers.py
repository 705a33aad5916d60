"""Services with workers: one front, calls on all, and the death of one is its own."""

import asyncio
import contextlib
import os
import re
import signal
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.caller import Caller, calling, goes_on, refusal
from tests.support.services import Process, Stack, free_ports, running_stack
from tests.support.waiting import until, until_reads

GRACE_S = "60"
"""Longer than any test: who ends earlier has not waited for it."""


@contextlib.asynccontextmanager
async def two_workers_each(**settings: str) -> AsyncIterator[Stack]:
    """Run edge and relay with the echo upstream, in two workers each."""
    udp, link = free_ports(2)
    ports = {
        "TANDEM_WORKERS": "2",
        "TANDEM_RELAY_WORKERS": "2",
        "TANDEM_UDP_PORT": str(udp),
        "TANDEM_LINK_PORT": str(link),
        "TANDEM_RELAYS": f"127.0.0.1:{link}-{link + 1}",
    }
    async with running_stack("echo", **ports, **settings) as stack:
        await seen(stack.transceiver, r"/\d +info +link up", 4)
        yield stack


async def seen(process: Process, pattern: str, count: int = 1) -> None:
    """Wait until a process has logged something so often."""
    await until(lambda: len(re.findall(pattern, process.log)) >= count)


def pid_of(process: Process, worker: int) -> int:
    """Return the process id of a worker, as its supervisor has logged it last."""
    started = re.findall(rf"worker started +worker={worker} pid=(\d+)", process.log)
    return int(started[-1])


async def figures(process: Process, name: str) -> dict[str, float]:
    """Return a metric of each worker, summed over its other labels."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{process.status_url}/metrics") as answer,
    ):
        page = await answer.text()
    found: dict[str, float] = {}
    for worker, value in re.findall(rf'^{name}{{worker="(\d)".*}} (\S+)$', page, re.M):
        found[worker] = found.get(worker, 0.0) + float(value)
    return found


async def become(process: Process, name: str, wanted: dict[str, float]) -> None:
    await until_reads(lambda: figures(process, name), wanted)


class Proxy:
    """Places calls over one connection that is kept, as a reverse proxy does."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.callers: list[Caller] = []
        self._url = f"{url}/v1/realtime/calls"
        self._http = http

    async def call(self) -> tuple[Caller, int]:
        """Return the caller, and the port that it was told for media."""
        caller = Caller()
        self.callers.append(caller)
        offer = await caller.offer()
        sdp = {"Content-Type": "application/sdp"}
        async with self._http.post(self._url, data=offer, headers=sdp) as response:
            answer = await response.text()
            assert response.status == 201, answer
            caller.location = response.headers["Location"]
        await caller.take_answer(answer)
        port = re.search(r"a=candidate:\S+ 1 udp \d+ \S+ (\d+) typ host", answer)
        assert port is not None, answer
        return caller, int(port[1])


@contextlib.asynccontextmanager
async def proxied(stack: Stack) -> AsyncIterator[Proxy]:
    one = aiohttp.TCPConnector(limit=1)
    async with aiohttp.ClientSession(connector=one) as http:
        proxy = Proxy(stack.url, http)
        try:
            yield proxy
        finally:
            for caller in proxy.callers:
                await caller.close()


@pytest.mark.asyncio
async def test_calls_of_one_connection_are_spread_over_all_workers() -> None:
    async with two_workers_each() as stack, proxied(stack) as proxy:
        first = stack.udp_address[1]
        ports = {(await proxy.call())[1] for _ in range(4)}
        assert ports == {first, first + 1}
        for caller in proxy.callers:
            await goes_on(caller)
        held = await figures(stack.transceiver, "tandem_calls")
        assert sum(held.values()) == 4
        assert abs(held["0"] - held["1"]) <= 2
        handed = await figures(stack.transceiver, "tandem_calls_handed_over_total")
        assert sum(handed.values()) >= 1
        sessions = await figures(stack.relay, "tandem_relay_sessions")
        assert sum(sessions.values()) == 4
        assert sessions["0"] >= 1
        assert sessions["1"] >= 1


@pytest.mark.asyncio
async def test_a_call_is_controlled_whichever_worker_is_asked() -> None:
    async with two_workers_each() as stack, calling(stack.url) as caller:
        await goes_on(caller)
        url = f"{stack.url}{caller.location}"
        for _ in range(8):  # connections of their own: both workers get some
            async with aiohttp.ClientSession() as http, http.get(url) as answer:
                assert answer.status == 200
        async with aiohttp.ClientSession() as http:
            call_id = caller.location.rpartition("/")[2]
            attach = f"{stack.url}/v1/realtime?call_id={call_id}"
            async with http.ws_connect(attach) as sideband:
                await sideband.send_json({"type": "session.update", "session": {}})
                assert (await sideband.receive_json())["type"].startswith("session.")
            async with http.post(f"{url}/hangup") as answer:
                assert answer.status == 200
            await become(stack.transceiver, "tandem_calls", {"0": 0, "1": 0})


@pytest.mark.asyncio
async def test_a_worker_that_dies_takes_its_own_calls_and_comes_back() -> None:
    async with two_workers_each(TANDEM_MAX_CALLS="4") as stack, proxied(stack) as proxy:
        calls = [await proxy.call() for _ in range(4)]
        first = stack.udp_address[1]
        for caller, _ in calls:
            await goes_on(caller)
        assert (await refusal(stack.url))[0] == 503
        os.kill(pid_of(stack.transceiver, 1), signal.SIGKILL)
        await seen(stack.transceiver, "is replaced +worker=1 pid=.* code=-9")
        await seen(stack.transceiver, "transceiver/1 info +transceiver listens", 2)
        await seen(stack.transceiver, "transceiver/1 info +link up", 4)
        await asyncio.gather(
            *(goes_on(caller) for caller, port in calls if port == first)
        )
        lost = sum(port == first + 1 for _, port in calls)
        assert lost
        async with proxied(stack) as anew:  # as many as were lost find room, and there
            ports = [(await anew.call())[1] for _ in range(lost)]
            assert first + 1 in ports
            for caller in anew.callers:
                await goes_on(caller)
            assert (await refusal(stack.url))[0] == 503
        restarts = await figures(stack.transceiver, "tandem_worker_restarts_total")
        assert restarts == {"0": 0, "1": 1}


@pytest.mark.asyncio
async def test_a_worker_that_hangs_is_replaced_as_one_that_has_died() -> None:
    async with two_workers_each() as stack, proxied(stack) as proxy:
        calls = [await proxy.call() for _ in range(4)]
        first = stack.udp_address[1]
        hanging = pid_of(stack.transceiver, 1)
        os.kill(hanging, signal.SIGSTOP)
        await seen(stack.transceiver, f"worker hangs, .* pid={hanging}")
        await seen(stack.transceiver, f"is replaced +worker=1 pid={hanging} code=-9")
        await seen(stack.transceiver, "transceiver/1 info +transceiver listens", 2)
        await asyncio.gather(
            *(goes_on(caller) for caller, port in calls if port == first)
        )
        restarts = await figures(stack.transceiver, "tandem_worker_restarts_total")
        assert restarts == {"0": 0, "1": 1}


@pytest.mark.asyncio
async def test_a_relay_worker_that_dies_takes_its_own_sessions_and_comes_back() -> None:
    async with two_workers_each() as stack, proxied(stack) as proxy:
        callers = [(await proxy.call())[0] for _ in range(4)]
        for caller in callers:
            await goes_on(caller)
        held = await figures(stack.relay, "tandem_relay_sessions")
        os.kill(pid_of(stack.relay, 0), signal.SIGKILL)
        await seen(stack.relay, "is replaced +worker=0 pid=.* code=-9")
        await seen(stack.relay, "relay/0 +info +relay started", 2)
        left = {"0": 0.0, "1": held["1"]}
        await become(stack.relay, "tandem_relay_sessions", left)
        await seen(stack.transceiver, "link up +relay=.*", 6)
        async with calling(stack.url) as caller:
            await goes_on(caller)
            sessions = await figures(stack.relay, "tandem_relay_sessions")
            assert sum(sessions.values()) == held["1"] + 1


@pytest.mark.asyncio
async def test_bounds_hold_over_all_workers() -> None:
    keys = {"TANDEM_API_KEYS": "sk-one,sk-other", "TANDEM_MAX_CALLS_PER_KEY": "2"}
    one, other = ({"Authorization": f"Bearer {key}"} for key in ("sk-one", "sk-other"))
    async with (
        two_workers_each(TANDEM_MAX_CALLS="3", **keys) as stack,
        calling(stack.url, one) as first,
        calling(stack.url, one) as second,
    ):
        assert (await refusal(stack.url, **one))[0] == 429
        async with calling(stack.url, other) as third:
            for caller in (first, second, third):
                await goes_on(caller)
            assert (await refusal(stack.url, **other))[0] == 503


@pytest.mark.asyncio
async def test_all_workers_drain_and_end_with_their_last_call() -> None:
    async with two_workers_each(TANDEM_DRAIN_S=GRACE_S) as stack:
        async with proxied(stack) as proxy:
            callers = [(await proxy.call())[0] for _ in range(4)]
            for caller in callers:
                await goes_on(caller)
            stack.transceiver.send(signal.SIGTERM)
            for worker in (0, 1):  # as when the whole process group is told
                os.kill(pid_of(stack.transceiver, worker), signal.SIGTERM)
            await seen(stack.transceiver, "draining +inside", 2)
            assert (await refusal(stack.url))[0] == 503
            for caller in callers:
                await goes_on(caller)
        assert await stack.transceiver.ended() == 0


@pytest.mark.asyncio
async def test_a_second_signal_ends_the_calls_of_all_workers_at_once() -> None:
    async with (
        two_workers_each(TANDEM_DRAIN_S=GRACE_S) as stack,
        proxied(stack) as proxy,
    ):
        for _ in range(3):
            await goes_on((await proxy.call())[0])
        stack.transceiver.send(signal.SIGTERM)
        await seen(stack.transceiver, "draining +inside", 2)
        stack.transceiver.send(signal.SIGTERM)
        assert await stack.transceiver.ended() == 0
        assert stack.transceiver.log.count("code=DRAINING") == 3


@pytest.mark.asyncio
async def test_the_admin_door_drains_all_workers() -> None:
    edge, relay = free_ports(2)
    doors = {"TANDEM_ADMIN_PORT": str(edge), "TANDEM_RELAY_ADMIN_PORT": str(relay)}
    async with two_workers_each(TANDEM_DRAIN_S=GRACE_S, **doors) as stack:
        anew = aiohttp.TCPConnector(force_close=True)  # whoever was asked may be gone
        async with (
            calling(stack.url) as caller,
            aiohttp.ClientSession(connector=anew) as http,
        ):
            await goes_on(caller)
            for service, port in ((stack.transceiver, edge), (stack.relay, relay)):
                url = f"http://127.0.0.1:{port}/admin/drain"
                async with http.post(url) as answer:
                    assert answer.status == 202
                await seen(service, f"{service.module} stopped")  # who had no call
                async with http.post(url) as answer:  # asking again ends nothing
                    assert answer.status == 202
            await seen(stack.transceiver, "draining +inside")
            await goes_on(caller)
        assert await stack.transceiver.ended() == 0
        assert await stack.relay.ended() == 0


@pytest.mark.asyncio
async def test_a_worker_told_to_end_by_itself_drains_and_is_replaced() -> None:
    async with two_workers_each(TANDEM_DRAIN_S=GRACE_S) as stack:
        async with proxied(stack) as proxy:
            calls = [await proxy.call() for _ in range(4)]
            first = stack.udp_address[1]
            os.kill(pid_of(stack.transceiver, 0), signal.SIGTERM)
            await seen(stack.transceiver, "transceiver/0 info +draining")
            for caller, _ in calls:
                await goes_on(caller)
            for _ in range(4):  # whoever is asked hands them to the other
                async with proxied(stack) as anew:
                    caller, port = await anew.call()
                    assert port == first + 1
                    await goes_on(caller)
        await seen(stack.transceiver, "transceiver/0 info +transceiver listens", 2)


@pytest.mark.asyncio
@pytest.mark.parametrize("module", ["transceiver", "relay"])
async def test_a_service_whose_worker_finds_its_port_taken_does_not_start(
    module: str,
) -> None:
    async with two_workers_each() as stack:
        first, http, admin = free_ports(3)
        own = {
            "TANDEM_UDP_PORT": str(first),
            "TANDEM_LINK_PORT": str(first),
            "TANDEM_HTTP_PORT": str(http),
            "TANDEM_RELAY_HTTP_PORT": str(http),
            "TANDEM_ADMIN_PORT": str(admin),
        }
        with socket.socket(type=socket.SOCK_DGRAM) as second:
            second.bind(("127.0.0.1", first + 1))
            late = Process(module, f"http://127.0.0.1:{http}")
            await late.start(stack.environ | own)
            try:
                assert await late.ended() == 1
            finally:
                await late.stop()
        assert "cannot listen: [Errno" in late.log
        assert "worker cannot start  worker=1" in late.log
        assert "Traceback" not in late.log


@pytest.mark.asyncio
async def test_workers_do_not_outlive_their_supervisor() -> None:
    async with two_workers_each() as stack:
        pids = [pid_of(stack.transceiver, worker) for worker in (0, 1)]
        await stack.transceiver.kill()
        await until(lambda: not any(map(is_alive, pids)))


def is_alive(pid: int) -> bool:
    """Tell whether a process still runs; one that waits to be buried does not."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] != "Z"
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return not os.path.exists("/proc/self")
    return False
