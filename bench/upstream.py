"""CPU of the relay with a WebSocket upstream, beside bare clients of the same.

    python -m bench.upstream [--calls N]

The relay is the real process; an edge process sends it 50 frames a second for each
call over the link, and its upstream is a server that speaks without end. The bare
clients are plain aiohttp (`bench.realtime.bare`), in one process: they append as much
to the same server, take the same events from it, and do nothing with the sound. The two
take turns, so that a machine's slow minutes fall on both, each on a core that the other
processes leave alone. Printed for each turn is CPU in milliseconds a call-second, for
each pair of turns their ratio, and in the end the middle one of these. Few calls cost
more each than many, on both sides: each datagram then wakes the process by itself.
"""

import argparse
import asyncio
import base64
import contextlib
import os
import secrets
import statistics
import sys
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

import uvloop

from bench.compare.peer import move
from bench.load.cpu import spent_s
from tests.support.services import ROOT, Process, free_ports

WARM_S: Final = 2.0
FRAMES_PER_S: Final = 50
DELTAS_MS: Final = (20, 200)
CORES: Final = frozenset(os.sched_getaffinity(0))
"""Ours; the last one is for the process that is measured."""


class Load(NamedTuple):
    """What each turn does."""

    calls: int
    seconds: float
    url: str
    payload: str


class Turn(NamedTuple):
    """What it took: CPU in ms a call-second, and frames a call-second both ways."""

    cpu_ms: float
    up: float
    down: float

    @property
    def is_whole(self) -> bool:
        """All was sent and received."""
        return min(self.up, self.down) > 0.95 * FRAMES_PER_S


@contextlib.asynccontextmanager
async def running(module: str, *args: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a part of the bench as a process of its own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *args),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def between_marks(
    load: Load, speaker: asyncio.subprocess.Process, measured: int
) -> Turn:
    """Return what a process spent between the marks that the speaking one prints."""
    move(measured, {max(CORES)})
    marks = []
    for _ in range(2):
        assert speaker.stdout is not None
        line = await speaker.stdout.readline()
        if not line:
            raise RuntimeError("the calls did not last")
        marks.append((spent_s(measured), *map(int, line.split())))
    call_s = load.calls * load.seconds
    spent, up, down = (after - before for before, after in zip(*marks, strict=True))
    await speaker.wait()
    return Turn(1000 * spent / call_s, up / call_s, down / call_s)


async def relay_turn(load: Load) -> Turn:
    """Measure the relay."""
    link, status = free_ports(2)
    key = secrets.token_bytes(32)
    relay = Process("relay", f"http://127.0.0.1:{status}")
    await relay.start(
        {
            **{k: v for k, v in os.environ.items() if not k.startswith("TANDEM_")},
            "TANDEM_LINK_PORT": str(link),
            "TANDEM_LINK_KEY": base64.b64encode(key).decode(),
            "TANDEM_RELAY_HTTP_PORT": str(status),
            "TANDEM_UPSTREAM": load.url,
            "TANDEM_LOG_LEVEL": "warning",
        }
    )
    try:
        await relay.wait_ready()
        args = [str(link), key.hex(), str(load.calls)]
        args += [str(WARM_S), str(load.seconds), load.payload]
        async with running("bench.realtime.edge", *args) as edge:
            return await between_marks(load, edge, relay.pid)
    except RuntimeError:
        sys.stderr.write(relay.log)
        raise
    finally:
        await relay.stop()


async def bare_turn(load: Load) -> Turn:
    """Measure the bare clients."""
    args = [load.url, str(load.calls), str(WARM_S), str(load.seconds)]
    async with running("bench.realtime.bare", *args) as bare:
        return await between_marks(load, bare, bare.pid)


async def compare(load: Load, turns: int) -> float:
    """Take turns, print each, and return the middle ratio of a pair."""
    print(f"{'':8} {'CPU ms':>8} {'up/s':>6} {'down/s':>6}   a call")
    pairs: list[tuple[Turn, Turn]] = []
    for _ in range(turns):
        bare, relay = await bare_turn(load), await relay_turn(load)
        for name, turn in (("bare", bare), ("relay", relay)):
            print(f"{name:8} {turn.cpu_ms:8.2f} {turn.up:6.1f} {turn.down:6.1f}")
        if bare.is_whole and relay.is_whole:
            pairs.append((bare, relay))
            print(f"{'':8} {relay.cpu_ms / bare.cpu_ms:8.2f} times")
        else:
            print("         behind, and left out: too many calls for this machine")
    if not pairs:
        raise SystemExit("no turn was whole")
    bare_ms = statistics.median(bare.cpu_ms for bare, _ in pairs)
    relay_ms = statistics.median(relay.cpu_ms for _, relay in pairs)
    ratio = statistics.median(relay.cpu_ms / bare.cpu_ms for bare, relay in pairs)
    print(
        f"relay {relay_ms:.2f} ms a call-second ({1000 / relay_ms:.0f} calls a core), "
        f"bare {bare_ms:.2f} ({1000 / bare_ms:.0f}): {ratio:.2f} times"
    )
    return ratio


async def measure(args: argparse.Namespace) -> None:
    """Measure each row, and print the ratios again together."""
    (port,) = free_ports(1)
    ratios = {}
    async with running("bench.realtime.server", str(port)):
        await asyncio.sleep(1.0)
        for delta_ms in args.deltas_ms:
            url = f"ws://127.0.0.1:{port}/{delta_ms}"
            load = Load(args.calls, args.seconds, url, args.payload)
            how = "in real time" if delta_ms == min(DELTAS_MS) else "faster"
            print(f"\n{args.calls} calls, deltas of {delta_ms} ms, {how}")
            ratios[delta_ms] = await compare(load, args.turns)
    print()
    for delta_ms, ratio in ratios.items():
        print(f"deltas of {delta_ms:3} ms: relay / bare client = {ratio:.2f}")


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=80, help="calls at a time")
    parser.add_argument("--seconds", type=float, default=9.0, help="of a turn")
    parser.add_argument("--turns", type=int, default=5, help="of each")
    parser.add_argument(
        "--deltas-ms", type=int, nargs="+", default=DELTAS_MS, help="length of a delta"
    )
    parser.add_argument(
        "--payload",
        choices=("pcm", "opus"),
        default="pcm",
        help="what the link carries",
    )
    args = parser.parse_args()
    if len(CORES) < 2:
        parser.error("two cores are needed")
    os.sched_setaffinity(0, CORES - {max(CORES)})
    uvloop.run(measure(args))


if __name__ == "__main__":
    main()
