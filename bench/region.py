"""A call between regions, with the real services: `python -m bench.region`.

Starts engine, relay and transceiver as processes and calls them with aiortc: first the
echo upstream, then the built-in engine, which is asked to count. Between edge and core
lies a rough path: on one machine a forwarder in this process (`--rtt-ms`, `--loss`,
`--burst`); or whatever lies between the addresses given, where the services run under a
prefix, as in network namespaces that an emulator joins:

    ip netns exec client python -m bench.region --edge 10.0.1.2 --core 10.0.2.2 \
        --edge-prefix 'ip netns exec edge' --core-prefix 'ip netns exec core'

Printed is what the caller's ear gets (packets of a talkspurt that never came; how much
later than the steadiest ones they did) and what the link's own metrics say at both
ends. Echo is live: its downlink has no lead, so what that loses is heard. The model's
audio has one, and should be whole.
"""

import argparse
import asyncio
import base64
import contextlib
import random
import secrets
import shlex
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import aiohttp
import numpy as np
import uvloop
from aiortc.rtp import RtpPacket
from prometheus_client.parser import text_string_to_metric_families

from bench import echo
from codec.opus import Encoder
from proto.frames import FRAME_SAMPLES
from tests.support.caller import Caller
from tests.support.netem import Path
from tests.support.rough_path import rough_path
from tests.support.services import Process, free_ports
from tests.support.sound import babble
from transceiver.rtp import CLOCK_HZ, TICKS_PER_SAMPLE

API_KEY = "sk-region"
AUTHORIZED = {"Authorization": f"Bearer {API_KEY}"}
PROMPTS = ("count slowly to twenty", "count to thirty", "what time is it?")
FRAME_TICKS = FRAME_SAMPLES * TICKS_PER_SAMPLE
REPLY_S = 60.0
QUIET_S = 1.0
"""Without a packet for so long, all of a reply is there."""


class Arrived(NamedTuple):
    """A packet at the caller's: seconds, ticks of 48 kHz, and whether speech begins."""

    at_s: float
    timestamp: int
    begins: bool


class Stack(NamedTuple):
    """The services, and where their metrics are."""

    transceiver: Process
    relay: Process


@contextlib.asynccontextmanager
async def running(upstream: str, args: argparse.Namespace) -> AsyncIterator[Stack]:
    """Run the services, and the rough path where they share a machine."""
    http, udp, link, status, engine = free_ports(5)
    environ = {
        "TANDEM_API_KEYS": API_KEY,
        "TANDEM_HTTP_HOST": args.edge,
        "TANDEM_HTTP_PORT": str(http),
        "TANDEM_UDP_HOST": args.edge,
        "TANDEM_UDP_PORT": str(udp),
        "TANDEM_LINK_HOST": args.core,
        "TANDEM_LINK_PORT": str(link),
        "TANDEM_RELAY_HTTP_HOST": args.core,
        "TANDEM_RELAY_HTTP_PORT": str(status),
        "TANDEM_ENGINE_PORT": str(engine),
        "TANDEM_LINK_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "TANDEM_UPSTREAM": upstream,
    }
    core = shlex.split(args.core_prefix)
    edge = shlex.split(args.edge_prefix)
    relay = Process("relay", f"http://{args.core}:{status}", core)
    transceiver = Process("transceiver", f"http://{args.edge}:{http}", edge)
    processes = [relay, transceiver]
    if upstream == "builtin":
        processes.insert(0, Process("relay.engine", "", core))
    async with contextlib.AsyncExitStack() as stack:
        relays = args.core, link
        if not edge:
            rng = random.Random(args.seed)
            relays = await stack.enter_async_context(
                rough_path(relays, *(path(args, rng) for _ in range(2)))
            )
        environ["TANDEM_RELAYS"] = "{}:{}".format(*relays)
        for process in processes:
            await process.start(environ)
            stack.push_async_callback(process.stop)
        for process in (relay, transceiver):
            await process.wait_ready()
        yield Stack(transceiver, relay)


def path(args: argparse.Namespace, rng: random.Random) -> Path:
    """Return one direction of the forwarder's path."""
    delay_s = args.rtt_ms / 2000
    return Path(rng, delay_s=delay_s, loss=args.loss, burst=args.burst)


async def echoed(args: argparse.Namespace) -> None:
    """Hold a call against the echo, and print."""
    pcm = babble(args.seconds, seed=1)
    encoder = Encoder()
    payloads = [
        encoder.encode(pcm[at : at + FRAME_SAMPLES].tobytes())
        for at in range(0, len(pcm) - FRAME_SAMPLES + 1, FRAME_SAMPLES)
    ]
    async with running("echo", args) as stack:
        tap = await echo.call(stack.transceiver.status_url, payloads, AUTHORIZED)
        found = await metrics(stack)
    delays = echo.delays_ms(tap, payloads)
    p50, p99 = np.percentile(delays, [50, 99])
    share = len(tap.arrived) / len(payloads)
    print(f"\necho, {args.seconds:g} s")
    print(f"  sound that came back  {share:.2%}")
    print(f"  delay                 p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    show(found)


async def answered(args: argparse.Namespace) -> None:
    """Have the engine speak, and print."""
    arrived: list[Arrived] = []
    async with running("builtin", args) as stack:
        caller = Caller()
        listen(caller, arrived)
        try:
            await caller.dial(stack.transceiver.status_url, AUTHORIZED)
            await caller.wait_for("session.created")
            for number, prompt in enumerate(PROMPTS, start=1):
                await ask(caller, prompt, number, arrived)
        finally:
            await caller.close()
        found = await metrics(stack)
    missing, late_ms = whole(arrived)
    p50, p99 = np.percentile(late_ms, [50, 99])
    print(f"\nengine, {len(PROMPTS)} replies, {len(arrived) * 0.02:.0f} s of speech")
    print(f"  frames missing        {missing} of {len(arrived) + missing}")
    print(
        f"  later than steady     p50 {p50:.1f} ms, p99 {p99:.1f} ms, "
        f"max {max(late_ms):.1f} ms"
    )
    show(found)


def listen(caller: Caller, arrived: list[Arrived]) -> None:
    """Note each packet of sound as it comes."""
    receiver = caller.connection.getReceivers()[0]
    handle = receiver._handle_rtp_packet
    loop = asyncio.get_running_loop()

    async def note(packet: RtpPacket, arrival_time_ms: int) -> None:
        arrived.append(Arrived(loop.time(), packet.timestamp, bool(packet.marker)))
        await handle(packet, arrival_time_ms)

    receiver._handle_rtp_packet = note  # type: ignore[method-assign]  # no other ear


async def ask(caller: Caller, prompt: str, number: int, arrived: list[Arrived]) -> None:
    """Put a question as text, and wait until the reply has been said."""
    content = [{"type": "input_text", "text": prompt}]
    item = {"type": "message", "role": "user", "content": content}
    caller.send({"type": "conversation.item.create", "item": item})
    caller.send({"type": "response.create"})
    began = len(arrived)
    await caller.wait_for("response.done", number)
    async with asyncio.timeout(REPLY_S):
        while (  # noqa: ASYNC110  # packets wake nobody
            len(arrived) == began
            or asyncio.get_running_loop().time() - arrived[-1].at_s < QUIET_S
        ):
            await asyncio.sleep(0.05)


def whole(arrived: list[Arrived]) -> tuple[int, list[float]]:
    """Return how many frames are missing within talkspurts, and how late each came.

    Late is by how many ms more than the earliest of its talkspurt, by its RTP time.
    """
    missing, late_ms = 0, []
    for spurt in _talkspurts(arrived):
        steps = {
            (packet.timestamp - spurt[0].timestamp) // FRAME_TICKS for packet in spurt
        }
        missing += max(steps) + 1 - len(steps)
        offsets = [
            packet.at_s - (packet.timestamp - spurt[0].timestamp) / CLOCK_HZ
            for packet in spurt
        ]
        late_ms += [1000 * (offset - min(offsets)) for offset in offsets]
    return missing, late_ms


def _talkspurts(arrived: list[Arrived]) -> Iterator[list[Arrived]]:
    spurt: list[Arrived] = []
    for packet in arrived:
        if packet.begins and spurt:
            yield spurt
            spurt = []
        spurt.append(packet)
    if spurt:
        yield spurt


Figures = dict[str, dict[tuple[str, ...], float]]


async def metrics(stack: Stack) -> tuple[Figures, Figures]:
    """Return the link's metrics at the edge and at the relay, by name and labels."""
    found: list[Figures] = []
    async with aiohttp.ClientSession() as http:
        for process in stack:
            figures: Figures = {}
            async with http.get(f"{process.status_url}/metrics") as response:
                for family in text_string_to_metric_families(await response.text()):
                    for sample in family.samples:
                        labels = {
                            k: v for k, v in sample.labels.items() if k != "relay"
                        }
                        series = figures.setdefault(sample.name, {})
                        series[tuple(labels.values())] = sample.value
            found.append(figures)
    return found[0], found[1]


def show(found: tuple[Figures, Figures]) -> None:
    """Print what the metrics say."""
    edge, relay = found
    rtt_ms = 1000 * edge["tandem_link_rtt_seconds"][()]
    jitter_ms = 1000 * edge["tandem_link_jitter_seconds"][()]
    print(f"  link                  RTT {rtt_ms:.0f} ms, jitter {jitter_ms:.1f} ms")
    for name, sender, receiver in (("up", edge, relay), ("down", relay, edge)):
        datagrams = receiver["tandem_link_datagrams_total"]
        lost = 1 - datagrams["received",] / datagrams["expected",]
        frames = receiver["tandem_link_frames_total"]
        sent = sender["tandem_link_frames_total"]
        figures = ", ".join(
            f"{kind.replace('_', ' ')} {frames[name, kind]:.0f}"
            for kind in ("received", "asked_again", "repaired", "given_up", "duplicate")
        )
        said, again = sent[name, "sent"], sent[name, "resent"]
        print(f"  {name:5} {lost:6.2%} of datagrams lost; ", end="")
        print(f"frames: sent {said:.0f}, again {again:.0f}, {figures}")


async def measure(args: argparse.Namespace) -> None:
    """Hold both calls."""
    where = "between the addresses given"
    if not args.edge_prefix:
        where = f"RTT {args.rtt_ms:g} ms, {args.loss:.0%} lost, burst {args.burst}"
    print(where)
    await echoed(args)
    await answered(args)


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="of the echo")
    parser.add_argument("--rtt-ms", type=float, default=80.0)
    parser.add_argument("--loss", type=float, default=0.01, help="share of 1")
    parser.add_argument("--burst", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--edge", default="127.0.0.1", help="the edge's address")
    parser.add_argument("--core", default="127.0.0.1", help="the core's address")
    parser.add_argument("--edge-prefix", default="", help="command that runs the edge")
    parser.add_argument("--core-prefix", default="", help="command that runs the core")
    uvloop.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
