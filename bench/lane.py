"""What the compiled lanes save: the edge's way of a packet pair, with and without them.

    python -m bench.lane [--calls 120]

A pair is a caller's packet on its way to the link, and a frame of the link on its way
to the caller: UDP and the relay are left out, the link's seal is in it. Many calls take
turns in bursts as long as an edge's, for what they cost is mostly what has left the
processor's caches meanwhile. Both ways run in turns in one process, on one core, so
that their ratio means something on a busy machine.
"""

import argparse
import asyncio
import gc
import os
import random
import statistics
import sys
import time
from typing import NamedTuple

from pylibsrtp import Policy, Session

import proto.laneless
import proto.link
import transceiver.laneless
import transceiver.media
from bench.link import Counter
from bench.load.voice import built_in, encode
from proto.frames import FRAME_MS, FRAME_SAMPLES, DownFrame, UpFrame
from proto.handshake import NONCE_BYTES, DialerHandshake, LinkKey, ListenerHandshake
from proto.link import Link
from proto.live import LinkSession, LiveLink
from runtime.udp import TICK_S, UdpAddress
from transceiver import rtcp, rtp
from transceiver.media import Coding, Media, MediaKeys
from transceiver.profile import Profile
from transceiver.srtp import SrtpSender
from transceiver.timer import SharedTimer

ROUNDS = 15
FRAMES = 50
"""Of each call in a round: one second."""

FRAME_S = FRAME_MS / 1000
OPUS_TYPE, RED_TYPE, OUR_SSRC, CALLER_SSRC = 111, 63, 1, 2
EDGE, RELAY = ("127.0.0.1", 1), ("127.0.0.1", 2)
_REPORT = rtcp.build_report(
    rtcp.SenderInfo(CALLER_SSRC, 0, 0, 0, 0),
    "caller",
    rtcp.ReportBlock(OUR_SSRC, 0, 0, 1 << 16, 0, 0, 0),
    sending=False,
)
"""That nothing was lost: until one comes, or after another, an edge sends RED."""


class Row(NamedTuple):
    """What is measured.

    Attributes:
        profile: How the edge encodes.
        is_reported: The callers have said that they lost nothing.
    """

    profile: Profile
    is_reported: bool = True

    def __str__(self) -> str:
        """Return it as the table names it."""
        return f"{self.profile.value}{', RED' * (not self.is_reported)}"


ROWS = (Row(Profile.AUTO), Row(Profile.AUTO, is_reported=False), Row(Profile.QUALITY))


class Clock:
    """A loop's clock that is set by hand; no timer of it ever rings."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        """Return seconds."""
        return self.now

    def call_at(self, when: float, callback: object) -> asyncio.TimerHandle:
        """Never call back."""
        del callback
        return asyncio.TimerHandle(when, int, (), asyncio.get_running_loop())


class Receiver(Counter):
    """One end of a session; `frame_received` is replaced."""

    def closed(self, code: object, reason: str) -> None:
        """Fail."""
        raise SystemExit(f"a session ended: {code} {reason}")


class Call(NamedTuple):
    """One call, and who speaks in it."""

    media: Media
    caller: SrtpSender
    starts_at: int


class Edge:
    """An edge with many calls, whose relay sends back what it gets."""

    def __init__(self, calls: int, row: Row) -> None:
        self._clock = Clock()
        self._up: list[bytes] = []
        self._down: list[bytes] = []
        self._sent = 0
        self._voice = encode(built_in()).payloads
        self._frame = 0
        self._link, self._relay = self._linked()
        self._calls = [self._begin(number, row) for number in range(calls)]
        # Calls begin at any time, so their packets come in no order that would help.
        random.Random(1).shuffle(self._calls)

    def round(self) -> float:
        """Return the CPU of a pair in a second of all calls, microseconds."""
        burst = max(1, round(len(self._calls) * TICK_S / FRAME_S))
        spent_ns = self._sent = 0
        for _ in range(FRAMES):
            for first in range(0, len(self._calls), burst):
                spent_ns += self._burst(self._calls[first : first + burst])
            self._frame += 1
            self._clock.now += FRAME_S
        pairs = FRAMES * len(self._calls)
        assert self._sent >= pairs, f"{self._sent} of {pairs} came back"
        return spent_ns / pairs / 1000

    def _burst(self, calls: list[Call]) -> int:
        """Take a packet of each call and what comes back for it; return CPU, ns."""
        now, link = self._clock.now, self._link
        packets = [(call.media, self._packet(call)) for call in calls]
        before_ns = time.process_time_ns()
        for media, datagram in packets:
            media.datagram_received(datagram, now)
        spent_ns = time.process_time_ns() - before_ns
        self._deliver_up()
        sealed, self._down[:] = self._down[:], []
        before_ns = time.process_time_ns()
        for datagram in sealed:
            link.receive(datagram, RELAY)
        return spent_ns + time.process_time_ns() - before_ns

    def _packet(self, call: Call) -> bytes:
        number, voice = self._frame, self._voice
        header = rtp.build_header(
            OPUS_TYPE, number, number * 960, CALLER_SSRC, marker=False
        )
        payload = voice[(call.starts_at + number) % len(voice)]
        return call.caller.seal_rtp(header + payload) or b""

    def _begin(self, number: int, row: Row) -> Call:
        receiver = Receiver()
        session = self._link.open_session(b"{}", receiver)
        while not session.is_open:
            self._deliver_up()
            self._deliver_down()
        keys = MediaKeys(
            inbound=_session(Policy.SSRC_ANY_INBOUND),
            outbound=_session(Policy.SSRC_ANY_OUTBOUND),
            local_ssrc=OUR_SSRC,
            payload_type=OPUS_TYPE,
            cname="bench",
            red_type=RED_TYPE,
        )
        media = Media(
            keys,
            self._datagram_sent,
            session.send_up,
            SharedTimer(self._clock),
            random.Random(number),
            Coding(profile=row.profile),
        )

        session.hear(media.frame_received)
        caller = SrtpSender(_session(Policy.SSRC_ANY_OUTBOUND))
        if row.is_reported:
            media.datagram_received(caller.seal_rtcp(_REPORT) or b"", self._clock.now)
        return Call(media, caller, random.Random(number).randrange(len(self._voice)))

    def _linked(self) -> tuple[LiveLink, LiveLink]:
        now, key = self._clock.now, LinkKey(bytes(32))
        listener = ListenerHandshake((key,), os.urandom(32))
        dialer = DialerHandshake(key, 1, os.urandom(NONCE_BYTES))
        link = self._live(Link.dial(dialer, now), self._up, RELAY)
        link.receive(listener.welcome(self._up.pop(), now), RELAY)
        ends = listener.finished(self._up.pop(), now)
        relay = self._live(Link.answer(ends, now), self._down, EDGE)
        for datagram in self._down:
            link.receive(datagram, RELAY)
        self._down.clear()
        return link, relay

    def _live(self, core: Link, out: list[bytes], peer: UdpAddress) -> LiveLink:
        live = LiveLink(
            core, lambda datagram, _: out.append(datagram), peer, _echo, _ignore
        )
        live.now = self._clock.time
        return live

    def _deliver_up(self) -> None:
        sealed, self._up[:] = self._up[:], []
        for datagram in sealed:
            self._relay.receive(datagram, EDGE)

    def _deliver_down(self) -> None:
        sealed, self._down[:] = self._down[:], []
        for datagram in sealed:
            self._link.receive(datagram, RELAY)

    def _datagram_sent(self, data: bytes) -> None:
        del data
        self._sent += 1


def _echo(session: LinkSession, request: bytes) -> Receiver:
    """Serve a session that sends back what it gets."""
    del request
    session.accept()
    receiver, played = Receiver(), 0

    def send_back(frame: UpFrame | DownFrame) -> None:
        nonlocal played
        session.send_down(DownFrame(1, played, 0, frame.payload))
        played += FRAME_SAMPLES

    receiver.frame_received = send_back  # type: ignore[method-assign]  # of its own
    return receiver


def _ignore(link: LiveLink, down: str | None) -> None:
    """Take no note of a link that is up or down."""


def _session(direction: int) -> Session:
    profile = Policy.SRTP_PROFILE_AEAD_AES_128_GCM
    return Session(Policy(bytes(28), direction, 0, profile))


def laneless(calls: int, row: Row) -> Edge:
    """Return an edge as if nothing had been compiled."""
    compiled = [
        (module, name, getattr(module, name))
        for module, names in (
            (transceiver.media, ("DownLane", "UpLane")),
            (proto.link, ("FrameOpener", "FrameSealer")),
        )
        for name in names
    ]
    plain = {**vars(transceiver.laneless), **vars(proto.laneless)}
    for module, name, _ in compiled:
        setattr(module, name, plain[name])
    try:
        return Edge(calls, row)
    finally:
        for module, name, lane in compiled:
            setattr(module, name, lane)


async def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=120, help="at once (120)")
    calls = parser.parse_args().calls
    if not transceiver.media.HAS_LANES:
        sys.stderr.write("the lanes are not compiled: python -m scripts.compile\n")
        return 1
    print(f"CPU us a packet pair, {calls} calls in turns, median of {ROUNDS} rounds")
    print(f"{'':<12}{'Python':>10}{'lanes':>10}{'ratio':>10}")
    for row in ROWS:
        edges = laneless(calls, row), Edge(calls, row)
        gc.collect()
        gc.freeze()
        rounds = [tuple(edge.round() for edge in edges) for _ in range(ROUNDS)]
        ratio = statistics.median(lanes / plain for plain, lanes in rounds)
        plain, lanes = map(statistics.median, zip(*rounds, strict=True))
        print(f"{row!s:<12}{plain:>10.1f}{lanes:>10.1f}{ratio:>10.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
