"""All targets, by name: what is fuzzed, from which seeds, and how often."""

from collections.abc import Callable
from typing import Final, NamedTuple

from tests.fuzz.targets import (
    codec,
    edge,
    frames,
    greeting,
    hostile,
    ingress,
    leg,
    machines,
    stranger,
)


class Target(NamedTuple):
    """One thing to fuzz.

    Attributes:
        make: Returns what takes the fuzzer's bytes; called once in each process.
        runs: Executions of `make fuzz`, by what one costs.
        mutations: The same in the test suite.
    """

    make: Callable[[], Callable[[bytes], None]]
    runs: int
    mutations: int


def _plain(run: Callable[[bytes], None], runs: int, mutations: int) -> Target:
    return Target(lambda: run, runs, mutations)


TARGETS: Final = {
    "message": _plain(codec.message, 3_000_000, 4000),
    "rtp": _plain(edge.rtp, 2_500_000, 4000),
    "red": _plain(edge.red, 2_000_000, 3000),
    "rtcp": _plain(edge.rtcp, 2_000_000, 3000),
    "close": _plain(codec.close, 600_000, 2000),
    "opening": _plain(codec.opening, 300_000, 2000),
    "request": _plain(codec.request, 300_000, 2000),
    "tunnel_request": _plain(codec.tunnel_request, 300_000, 2000),
    "tunnel_answer": _plain(codec.tunnel_answer, 300_000, 2000),
    "listening": Target(greeting.Listening, 400_000, 2000),
    "dialling": Target(greeting.Dialling, 500_000, 2000),
    "stranger": Target(stranger.Stranger, 300_000, 2000),
    "forwarding": Target(ingress.Forwarding, 300_000, 2000),
    "tunnel_greeting": _plain(greeting.tunnel_greeting, 100_000, 1000),
    "tunnel_seal": _plain(greeting.tunnel_seal, 100_000, 1000),
    "upstream": _plain(edge.upstream, 300_000, 2000),
    "intake": _plain(edge.intake, 200_000, 2000),
    "translation": _plain(edge.translation, 200_000, 1000),
    "offer": _plain(edge.offer, 150_000, 1000),
    "history": _plain(machines.history, 200_000, 1000),
    "hostile_stream": _plain(machines.hostile_stream, 50_000, 1000),
    "order": _plain(machines.order, 60_000, 1000),
    "greeting": _plain(greeting.greeting, 10_000, 150),
    "stream": _plain(machines.stream, 50_000, 500),
    "frames": _plain(frames.frames, 200_000, 1000),
    "leg": _plain(leg.leg, 15_000, 200),
    "against_relay": _plain(hostile.against_relay, 75_000, 500),
    "against_edge": _plain(hostile.against_edge, 75_000, 500),
}
