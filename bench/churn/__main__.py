"""`python -m bench.churn`: make and drop calls, and show what is left of them.

Transceiver and relay (echo upstream) run as processes of their own, with the time-outs
that they always have: whoever vanishes is waited for 30 s, many at a time. After each
thousand everybody is let go, and both processes are looked at.
"""

import argparse
import asyncio
import contextlib
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import aiohttp
import uvloop

from bench.churn import set_up, ways
from bench.churn.held import Held, look
from bench.churn.ways import Edge, Failed, Way
from bench.load.dial import Dialer
from bench.load.voice import SHORTEST_S, encode
from tests.support.services import Stack, running_stack
from tests.support.sound import babble
from transceiver.webrtc.certificate import Certificate

BATCH = 1000
"""Calls between two looks."""

GONE_S = 90.0
"""Seconds that the last of a batch may take to be gone: 30 s of silence, and slack."""

LOOK_S = 1.0

MAX_GROWTH = 1.15
"""Of memory, from the first thousand calls to the last: it fills up over the first few,
as now more, now fewer calls are there at a time."""

HEAD = (
    f"{'':>7} {'CPU ms':>7}   "
    f"{'transceiver: MB':>15} {'files':>6} {'threads':>8} {'tasks':>6}   "
    f"{'relay: MB':>9} {'files':>6} {'threads':>8} {'tasks':>6}"
)

Pair = tuple[Held, Held]


class Run:
    """All batches of a run."""

    def __init__(self, stack: Stack, edge: Edge, rate: float) -> None:
        self.failures: Counter[str] = Counter()
        self._stack = stack
        self._edge = edge
        self._rate = rate

    async def batch(self, chosen: Sequence[Way]) -> Pair:
        """Place calls at the rate, wait until all are gone, and look."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        async with asyncio.TaskGroup() as group:
            for number, way in enumerate(chosen):
                due_s = began_s + number / self._rate
                await asyncio.sleep(max(0.0, due_s - loop.time()))
                group.create_task(self._call(way))
        return await self._all_gone()

    async def look(self) -> Pair:
        """Look at both services."""
        stack, http = self._stack, self._edge.http
        edge, relay = stack.transceiver, stack.relay
        return (
            await look(http, edge.status_url, edge.pid),
            await look(http, relay.status_url, relay.pid),
        )

    async def _all_gone(self) -> Pair:
        seen = await self.look()
        async with asyncio.timeout(GONE_S):
            while any(one.calls for one in seen):
                await asyncio.sleep(LOOK_S)
                seen = await self.look()
        return seen

    async def _call(self, way: Way) -> None:
        try:
            await way(self._edge)
        except (Failed, aiohttp.ClientError, OSError) as error:
            self.failures[f"{way.__name__}: {error}"] += 1


def drawn(count: int, only: Sequence[Way]) -> list[Way]:
    """Return as many of each way, mixed; those that are waited for longest first."""
    chosen = [only[number % len(only)] for number in range(count)]
    slow = [way for way in chosen if way in ways.WAITED_FOR]
    quick = [way for way in chosen if way not in ways.WAITED_FOR]
    random.Random(1).shuffle(slow)
    random.Random(2).shuffle(quick)
    return slow + quick


async def _run(calls: int, rate: float, only: Sequence[Way]) -> int:
    async with _services() as (stack, edge):
        run = Run(stack, edge, rate)
        last = await run.look()
        looks: list[Pair] = []
        print(HEAD)
        print(_row("before", last))
        for done in range(0, calls, BATCH):
            count = min(BATCH, calls - done)
            seen = await run.batch(drawn(count, only))
            cpu_ms = 1000 * (seen[0].cpu_s - last[0].cpu_s) / count
            print(_row(str(done + count), seen, f"{cpu_ms:.1f}"), flush=True)
            looks.append(last := seen)
        _tell_failures(run.failures, stack)
        return _verdict(looks) or bool(run.failures)


async def _set_up() -> int:
    async with _services() as (stack, edge):
        await set_up.measure(edge, stack.transceiver.pid)
    return 0


@contextlib.asynccontextmanager
async def _services() -> AsyncIterator[tuple[Stack, Edge]]:
    """Run both services, and tell callers of them."""
    certificate = Certificate.generateCertificate()
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with (
        running_stack(
            "echo", TANDEM_MAX_CALLS="10000", TANDEM_LOG_LEVEL="warning"
        ) as stack,
        aiohttp.ClientSession(connector=connector) as http,
    ):
        dialer = Dialer(with_red=False, certificate=certificate)
        await dialer.prepare()
        await dialer.close()
        speech = encode(babble(SHORTEST_S, seed=1)).payloads
        yield stack, Edge(http, stack.url, dialer.offer, certificate, speech)


def _row(name: str, pair: Pair, cpu_ms: str = "") -> str:
    edge, relay = pair
    return (
        f"{name:>7} {cpu_ms:>7}   "
        f"{edge.rss_mb:15.1f} {edge.files:6} {edge.threads:8} {edge.tasks:6}   "
        f"{relay.rss_mb:9.1f} {relay.files:6} {relay.threads:8} {relay.tasks:6}"
    )


def _tell_failures(failures: Counter[str], stack: Stack) -> None:
    """Say what went wrong, and what the services said meanwhile."""
    for what, count in failures.items():
        print(f"{count} x {what}")
    if failures:
        for process in (stack.transceiver, stack.relay):
            print(f"--- {process.module}\n{process.log}", end="")


def _verdict(seen: Sequence[Pair]) -> int:
    """Say what is left since the first thousand; return 1 if it is anything.

    What is made once, at first use, is there by then: libuv's four threads, for one.
    """
    left = []
    for name, looks in zip(
        ("transceiver", "relay"), zip(*seen, strict=True), strict=True
    ):
        first, last = looks[0], looks[-1]
        for what in ("files", "threads", "tasks"):
            more = getattr(last, what) - getattr(first, what)
            if more > 0:
                left.append(f"{name}: {more} more {what}")
        grown_mb = last.rss_mb - first.rss_mb
        print(f"{name}: {grown_mb:+.1f} MB since the first {BATCH} calls")
        if last.rss_mb > MAX_GROWTH * first.rss_mb:
            left.append(f"{name}: more memory")
    print("\n".join(left) or "all is given back")
    return 1 if left else 0


def main() -> int:
    """Return the exit code: 0 if nothing is left and no call went wrong."""
    names = {way.__name__.replace("_", "-"): way for way in ways.WAYS}
    parser = argparse.ArgumentParser(prog="python -m bench.churn", description=__doc__)
    parser.add_argument("--calls", type=int, default=2000, help="default: 2000")
    parser.add_argument("--rate", type=float, default=40.0, help="a second: 40")
    parser.add_argument(
        "--only", choices=names, action="append", help="leave so; repeat for more"
    )
    parser.add_argument(
        "--set-up", action="store_true", help="measure how long set-up takes, instead"
    )
    given = parser.parse_args()
    if given.set_up:
        return uvloop.run(_set_up())
    only = [names[name] for name in given.only or names]
    return uvloop.run(_run(given.calls, given.rate, only))


if __name__ == "__main__":
    sys.exit(main())
