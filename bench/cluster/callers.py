"""The callers: they speak all the time, and note what comes back."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator

import aiohttp

from bench.cluster.heard import Heard
from bench.cluster.services import API_KEY, url
from bench.load import voice as voices
from bench.load.dial import Dialer, DialError
from bench.load.line import Line, Log, Part
from bench.load.pump import Pump
from bench.load.voice import Turns
from transceiver.webrtc.certificate import Certificate

SERVED_S = 10.0
"""How long a connected call may wait for its session."""


class Call:
    """One call: connected, then spoken into.

    Attributes:
        edge: The host it is placed at.
        errors: Codes of the error events that came.
        served_s: When its session was there; of the monotonic clock, 0: never.
        line: Its media, once it is connected.
    """

    def __init__(self, edge: str, certificate: Certificate) -> None:
        self.edge = edge
        self.errors: list[str] = []
        self.served_s = 0.0
        self.dialer = Dialer(with_red=False, certificate=certificate)
        self.dialer.channel.on("message", self._event_received)
        self.line: Line | None = None
        self._served = asyncio.Event()

    @property
    def heard(self) -> Heard:
        """What it has heard so far, and whether it is over: ended, or told an error."""
        log = Log() if self.line is None else self.line.log
        return Heard(log, self.dialer.lost.is_set() or bool(self.errors))

    async def served(self) -> None:
        """Wait for its session.

        Raises:
            DialError: It has none in `SERVED_S`.
        """
        try:
            async with asyncio.timeout(SERVED_S):
                await self._served.wait()
        except TimeoutError:
            raise DialError(f"no session; errors {self.errors}") from None

    def _event_received(self, message: str) -> None:
        event = json.loads(message)
        if event["type"] == "session.created":
            self.served_s = time.monotonic()
            self._served.set()
        elif event["type"] == "error":
            self.errors.append(event["error"]["code"])


class Callers:
    """All callers of a run, driven by one clock."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._voice = voices.encode(voices.built_in())
        self._certificate = Certificate.generateCertificate()
        self._http = http
        self._pump = Pump()
        self._rng = random.Random(1)
        self._open: list[Call] = []

    async def prepare(self, edge: str) -> Call:
        """Make an offer; it costs time, and belongs to no figure."""
        call = Call(edge, self._certificate)
        self._open.append(call)
        await call.dialer.prepare()
        return call

    async def connect(self, call: Call) -> None:
        """Place a call, begin to speak, and wait for its session.

        Raises:
            DialError: Refused, not connected, or without a session.
        """
        keys = await call.dialer.connect(self._http, url(call.edge))
        first = self._rng.randrange(len(self._voice.payloads))
        part = Part(first, Turns(0), up=None, down=None, is_sampled=False)
        taken = call.dialer.take_socket()
        otherwise = call.dialer.datagram_received
        call.line = Line(taken, keys, self._voice, part, otherwise)
        self._pump.join(call.line)
        await call.served()

    async def place(self, edge: str, count: int) -> list[Call]:
        """Place calls one after the other.

        Raises:
            DialError: One of them was not served.
        """
        calls = []
        for _ in range(count):
            calls.append(await self.prepare(edge))
            await self.connect(calls[-1])
        return calls

    async def hang_up(self, call: Call) -> None:
        """End a call, however far it came."""
        self._open.remove(call)
        if call.line is not None:
            self._pump.leave(call.line)
        await call.dialer.close()

    async def close(self) -> None:
        """End all calls."""
        for call in list(self._open):
            await self.hang_up(call)
        self._pump.close()


@contextlib.asynccontextmanager
async def calling() -> AsyncIterator[Callers]:
    """Have callers for the length of a block."""
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        callers = Callers(http)
        try:
            yield callers
        finally:
            await callers.close()
