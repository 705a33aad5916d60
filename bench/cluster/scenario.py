"""What happens to the cluster, step by step, and what has to hold.

1  nothing                        all calls are heard
2  forwarders are rolled          no call is lost
3  a forwarder is killed          no call is lost
4  the idle relay is rolled       no call is lost
5  SIGTERM to a busy transceiver  no call is lost; new ones are refused, and find
                                  the other; it ends with its last call
6  an idle transceiver is rolled  no call is lost
7  a relay is killed              its calls are told; those of the other are not
                                  lost; new ones are served within a second
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable

from bench.cluster.callers import Call, Callers
from bench.cluster.heard import figures
from bench.cluster.network import EDGES, INGRESSES, RELAYS, Network
from bench.cluster.services import Services, url
from bench.load.dial import DialError
from tests.support.scraping import scrape

NEW = 3 * EDGES
"""New calls from the moment of a relay's death on. A transceiver chooses by its own
calls on each relay: of three it asks the dead one for one at least."""

APART_S = 0.05
"""Between two of them: those placed at once may all be asked of the same relay."""

TOLD_S = 5.0
"""Within which the calls of a lost relay are told."""


class Scenario:
    """One run of it.

    Args:
        network: Where all of it is.
        services: None of them runs yet.
        callers: Who call.
        hold_s: How long calls are listened to after what happened.
        moved_s: Within which new calls are served after the loss of a relay.
        tell: Takes lines for the reader.

    Attributes:
        broken: The claims that do not hold; empty: all do.
    """

    def __init__(
        self,
        network: Network,
        services: Services,
        callers: Callers,
        hold_s: float,
        moved_s: float,
        tell: Callable[[str], None],
    ) -> None:
        self.broken: list[str] = []
        self._network = network
        self._services = services
        self._callers = callers
        self._hold_s = hold_s
        self._moved_s = moved_s
        self._tell = tell
        self._calls: dict[str, list[Call]] = {}

    async def run(self, calls: int) -> None:
        """Run all steps with so many calls."""
        self._tell(f"{'':36} calls  lost  longest gap  packets back")
        await self._begin(calls)
        await self._roll_forwarders()
        await self._kill_a_forwarder()
        await self._roll_idle_relay()
        await self._drain_busy_edge(calls)
        await self._roll_idle_edge()
        await self._lose_a_relay(calls)

    async def _begin(self, calls: int) -> None:
        """Have all calls on the first relay, so that the second is idle."""
        for host in (RELAYS[0], *EDGES, *INGRESSES):
            await self._services.start(host)
        for number, edge in enumerate(EDGES):
            await self._services.linked(edge, 1)
            count = (calls + number) // len(EDGES)
            self._calls[edge] = await self._callers.place(edge, count)
        await self._start_relay(RELAYS[1])
        async with self._step("nothing happens"):
            pass

    async def _roll_forwarders(self) -> None:
        async with self._step("forwarders rolled, one by one"):
            for host, other in zip(INGRESSES, reversed(INGRESSES), strict=True):
                self._services[host].send(signal.SIGTERM)
                await self._services.drained(host)
                await self._network.balance([other])
                await self._end(host)
                await self._services.start(host)
                await self._network.balance(INGRESSES)
                await asyncio.sleep(self._hold_s)

    async def _kill_a_forwarder(self) -> None:
        """Kill one that stays in the load balancer's set, and start it again."""
        async with self._step("forwarder killed, same address") as note:
            host, began_s = INGRESSES[0], time.monotonic()
            await self._services[host].kill()
            await self._services.start(host)
            note.append(f"it was gone for {time.monotonic() - began_s:.1f} s")

    async def _roll_idle_relay(self) -> None:
        async with self._step("idle relay rolled"):
            await self._stop(RELAYS[1])
            await self._start_relay(RELAYS[1])

    async def _drain_busy_edge(self, calls: int) -> None:
        """Drain the second edge under its calls; they hang up afterwards."""
        stays, goes = EDGES
        async with self._step("SIGTERM to a busy transceiver") as note:
            self._services[goes].send(signal.SIGTERM)
            await self._services.drained(goes)
            refused = await self._try(goes)
            self._claim(refused == "HTTP 503", f"a draining edge said {refused}")
            (moved,) = await self._callers.place(stays, 1)
            note.append(f"new call there: {refused}; at the other: served")
            await self._callers.hang_up(moved)
        running = self._services[goes].is_running
        self._claim(running, "the busy transceiver did not wait for its calls")
        for call in self._calls.pop(goes):
            await self._callers.hang_up(call)
        await self._end(goes)
        self._tell(
            f"    its {calls - len(self._calls[stays])} calls hung up, and it ended"
        )

    async def _roll_idle_edge(self) -> None:
        idle = EDGES[1]
        await self._start_edge(idle)
        async with self._step("idle transceiver rolled"):
            await self._stop(idle)
            await self._start_edge(idle)

    async def _lose_a_relay(self, calls: int) -> None:
        """Kill the first relay, with new calls placed in the same moment."""
        await self._spread(calls)
        before = self._all()
        offers = [await self._callers.prepare(edge) for edge in NEW]
        scraped = await scrape(url(RELAYS[0]))
        held = round(scraped.value("tandem_relay_sessions"))
        from_ns, killed_s = time.time_ns(), time.monotonic()
        await self._services[RELAYS[0]].kill()
        async with asyncio.TaskGroup() as group:
            for call in offers:
                group.create_task(self._connect(call))
                await asyncio.sleep(APART_S)
        await asyncio.sleep(max(TOLD_S, self._hold_s))
        told = [call for call in before if "relay_lost" in call.errors]
        others = [call for call in before if call not in told]
        self._judge("a relay killed: calls of the other", others, from_ns)
        self._tell(
            f"    {len(told)} of its own {held} calls got an error event, relay_lost: "
            "sessions are not resumed yet"
        )
        self._claim(len(told) == held, f"{len(told)} calls told, {held} were on it")
        self._claim(0 < held < len(before), "the relays did not share the calls")
        for edge in EDGES:
            self._report_move(
                edge,
                [
                    call.served_s - killed_s
                    for call in offers
                    if call.edge == edge and call.served_s
                ],
            )

    def _report_move(self, edge: str, served_s: list[float]) -> None:
        each = ", ".join(f"{1000 * after_s:.0f}" for after_s in sorted(served_s))
        self._tell(f"    new calls at {edge}, served ms after the kill: {each}")
        slowest_s = max(served_s, default=0.0)
        self._claim(
            slowest_s <= self._moved_s,
            f"a new call at {edge} was served after {slowest_s:.2f} s",
        )

    async def _connect(self, call: Call) -> None:
        try:
            await self._callers.connect(call)
        except DialError as error:
            self._claim(False, f"a new call at {call.edge}: {error}")

    async def _spread(self, calls: int) -> None:
        """Have the calls of both edges on both relays."""
        stayed, hung_up = self._calls[EDGES[0]], calls - len(self._calls[EDGES[0]])
        for call in stayed[: len(stayed) // 2]:
            await self._callers.hang_up(call)
        del stayed[: len(stayed) // 2]
        stayed += await self._callers.place(EDGES[0], calls - hung_up - len(stayed))
        self._calls[EDGES[1]] = await self._callers.place(EDGES[1], hung_up)

    async def _try(self, edge: str) -> str:
        """Place a call and hang up; return why it failed, or that it did not."""
        call = await self._callers.prepare(edge)
        try:
            await self._callers.connect(call)
        except DialError as error:
            return str(error)
        finally:
            await self._callers.hang_up(call)
        return "served"

    async def _start_relay(self, host: str) -> None:
        """Start a relay, and wait until each edge has linked to it once more."""
        links = {edge: self._links(edge) for edge in EDGES}
        await self._services.start(host)
        for edge, had in links.items():
            await self._services.linked(edge, had + 1)

    async def _start_edge(self, host: str) -> None:
        await self._services.start(host)
        await self._services.linked(host, len(RELAYS))

    def _links(self, edge: str) -> int:
        return self._services[edge].log.count("link up")

    async def _stop(self, host: str) -> None:
        self._services[host].send(signal.SIGTERM)
        await self._end(host)

    async def _end(self, host: str) -> None:
        code = await self._services[host].ended()
        self._claim(code == 0, f"{host} ended with {code}")

    @contextlib.asynccontextmanager
    async def _step(self, name: str) -> AsyncIterator[list[str]]:
        """Have something happen to all calls, none of which may be lost.

        Yields:
            Remarks, told below the figures.
        """
        notes: list[str] = []
        calls, from_ns = self._all(), time.time_ns()
        yield notes
        await asyncio.sleep(self._hold_s)
        self._judge(name, calls, from_ns)
        for note in notes:
            self._tell(f"    {note}")

    def _judge(self, name: str, calls: Iterable[Call], from_ns: int) -> None:
        heard = (call.heard for call in calls)
        found = figures(heard, from_ns, time.time_ns())
        self._tell(
            f"{name:40}{found.calls:2}  {found.lost:4}"
            f"  {found.longest_gap_ms:8.0f} ms  {100 * found.returned:10.1f} %"
        )
        self._claim(found.lost == 0, f"{name}: {found.lost} calls lost")

    def _claim(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001  # the condition itself
        if not holds:
            self.broken.append(otherwise)

    def _all(self) -> list[Call]:
        return [call for edge in self._calls.values() for call in edge]
