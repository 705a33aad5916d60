"""A socket and stages without a network, a model or a clock."""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, cast

import numpy as np
import orjson
from aiohttp import WSMessage, WSMsgType, web
from prometheus_client import CollectorRegistry

from relay.engine.connection import Connection, Parts
from relay.engine.core import Core
from relay.engine.ids import Ids
from relay.engine.ports import HOP_SAMPLES, Call, Pause, Request, Samples, Say
from relay.engine.stages import Stages
from tests.support.event_rules import check, strict_parse

Event = dict[str, Any]

PATIENCE_S = 20.0
"""How long a test waits for an event that never comes."""


class FakeSocket:
    """The client's end and the server's end of a WebSocket in one object."""

    def __init__(self) -> None:
        self._inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._arrived = asyncio.Event()
        self.log: list[Event] = []
        self.is_broken = False

    # The server's end

    def __aiter__(self) -> "FakeSocket":
        return self

    async def __anext__(self) -> WSMessage:
        message = await self._inbox.get()
        if message is None:
            raise StopAsyncIteration
        return WSMessage(WSMsgType.TEXT, message.decode(), None)

    async def send_str(self, text: str) -> None:
        if self.is_broken:
            raise ConnectionResetError
        event = orjson.loads(text)
        strict_parse(event)
        self.log.append(event)
        self._arrived.set()

    # The client's end

    def send(self, kind: str, **fields: Any) -> None:
        """Send a client event."""
        self._inbox.put_nowait(orjson.dumps({"type": kind, **fields}))

    def append(self, pcm: Samples, frame_samples: int = 480) -> None:
        """Send audio in frames."""
        for start in range(0, len(pcm), frame_samples):
            frame = pcm[start : start + frame_samples].tobytes()
            self.send(
                "input_audio_buffer.append", audio=base64.b64encode(frame).decode()
            )

    def hang_up(self) -> None:
        """Close the connection."""
        self._inbox.put_nowait(None)

    async def until(self, *wanted: str, after: int = 0) -> int:
        """Wait for events of these types, in order; return the log's length then."""
        async with asyncio.timeout(PATIENCE_S):
            for kind in wanted:
                while kind not in (found := self.kinds(after)):
                    self._arrived.clear()
                    await self._arrived.wait()
                after += found.index(kind) + 1
        return after

    def kinds(self, after: int = 0) -> list[str]:
        """Return the types of the events sent."""
        return [event["type"] for event in self.log[after:]]

    def audio(self, after: int = 0) -> Samples:
        """Return all the audio sent."""
        deltas = [
            base64.b64decode(event["delta"])
            for event in self.log[after:]
            if event["type"] == "response.output_audio.delta"
        ]
        return np.frombuffer(b"".join(deltas), np.int16)


class LoudIsSpeech:
    """A voice activity: a hop with any sample in it that is not zero is speech."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.int16)

    def feed(self, pcm: Samples) -> list[float]:
        audio = np.concatenate([self._rest, pcm])
        count = len(audio) // HOP_SAMPLES
        self._rest = audio[count * HOP_SAMPLES :]
        hops = audio[: count * HOP_SAMPLES].reshape(count, HOP_SAMPLES)
        return [1.0 if hop.any() else 0.0 for hop in hops]


class FakeHearing:
    """A speech to text that hears one thing."""

    def __init__(self, text: str, error: Exception | None = None) -> None:
        self._text = text
        self._error = error
        self.open_count = 0

    def open(self) -> "FakeHearing":
        self.open_count += 1
        return self

    def add(self, pcm: Samples) -> str:
        if self._error is not None:
            raise self._error
        return self._text

    def close(self) -> None:
        self.open_count -= 1


class FakeSpeaking:
    """A text to speech: 10 ms for each character."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.texts: list[str] = []

    def speak(self, text: str, speed: float) -> Samples:
        self.texts.append(text)
        if self._error is not None:
            raise self._error
        return np.ones(round(len(text) * 240 / speed), np.int16)


class FakeReply:
    """A reply of given pieces; then, if asked to, it never ends."""

    def __init__(
        self,
        pieces: Sequence[Say | Pause | Call],
        error: Exception | None = None,
        *,
        is_endless: bool = False,
    ) -> None:
        self._pieces = pieces
        self._error = error
        self._is_endless = is_endless
        self.requests: list[Request] = []
        self.closed_count = 0

    async def respond(
        self, request: Request
    ) -> AsyncGenerator[Say | Pause | Call, None]:
        self.requests.append(request)
        try:
            for piece in self._pieces:
                yield piece
            if self._error is not None:
                raise self._error
            if self._is_endless:
                await asyncio.Event().wait()
        finally:
            self.closed_count += 1


@asynccontextmanager
async def session(
    parts_of: Callable[[Stages], Parts],
) -> AsyncIterator[FakeSocket]:
    """Run a connection; hang up, and check its log, at the end."""
    stages = Stages(CollectorRegistry())
    socket = FakeSocket()
    try:
        async with asyncio.TaskGroup() as tasks:
            core = Core(Ids(Random(2)), "test-model")
            server = cast("web.WebSocketResponse", socket)
            tasks.create_task(Connection(server, core, parts_of(stages)).run())
            yield socket
            socket.hang_up()
    finally:
        stages.close()
    check(socket.log)


def fake_parts(
    reply: FakeReply,
    hearing: FakeHearing | None = None,
    speaking: FakeSpeaking | None = None,
) -> Callable[[Stages], Parts]:
    """Return parts in which everything is a fake but the threads."""
    return lambda stages: Parts(
        stages=stages,
        new_voice_activity=LoudIsSpeech,
        hearing=hearing or FakeHearing("Hello."),
        speaking=speaking or FakeSpeaking(),
        reply=reply,
    )
