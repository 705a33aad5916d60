"""A link end and an upstream that remember, for sessions in virtual time."""

import asyncio
from typing import Any

import orjson

from proto.errors import CloseCode, LocalError
from proto.frames import DownFrame
from proto.payload import Payload
from proto.stats import FrameCounts
from relay.upstream import protocol
from relay.upstream.port import Receiver, UpstreamError


class FakeLink:
    """The relay's end of a link session."""

    def __init__(self) -> None:
        self.id = 7
        self.accepted = 0
        self.offered: tuple[Payload, ...] = ()
        self.payload: Payload | None = None
        self.events: list[dict[str, Any]] = []
        self.raw_events: list[bytes] = []
        self.frames: list[DownFrame] = []
        self.flushes: list[int] = []
        self.closes: list[tuple[CloseCode, str]] = []
        self.refuse_events_with: LocalError | None = None
        self.refuse_frames_with: Exception | None = None

    @property
    def frame_counts(self) -> FrameCounts:
        return FrameCounts()

    def accept(self, payload: Payload = Payload.PCM) -> None:
        self.accepted += 1
        self.payload = payload

    def send_event(self, payload: bytes) -> None:
        if self.refuse_events_with:
            raise self.refuse_events_with
        self.raw_events.append(payload)
        self.events.append(orjson.loads(payload))

    def send_down(self, frame: DownFrame) -> None:
        if self.refuse_frames_with:
            raise self.refuse_frames_with
        self.frames.append(frame)

    def flush(self, talkspurt: int) -> None:
        self.flushes.append(talkspurt)

    def close(self, code: CloseCode = CloseCode.NORMAL, reason: str = "") -> None:
        self.closes.append((code, reason))

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]


class FakeUpstream:
    """A model that says what the test has it say."""

    is_live = False
    waiting = 0

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.heard = bytearray()
        self.failure: UpstreamError | None = None
        self.was_cancelled = False
        self.lingers = False
        self.is_full = False
        self.made_room = asyncio.Event()
        self._receiver: Receiver | None = None
        self._failed = asyncio.Event()

    async def run(self, receiver: Receiver, tasks: asyncio.TaskGroup) -> None:
        self._receiver = receiver
        receiver.upstream_connected()
        try:
            await self._failed.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            if self.lingers:
                await asyncio.Event().wait()
            raise
        finally:
            self._receiver = None
            self.is_full = False
            self.made_room.set()
        if self.failure:
            raise self.failure

    def send(self, payload: bytes) -> None:
        self.sent.append(payload)

    async def room(self, size_bytes: int) -> None:
        while self.is_full:
            self.made_room.clear()
            await self.made_room.wait()

    def append(self, pcm: bytes) -> None:
        self.heard += pcm

    def append_silence(self, samples: int) -> None:
        self.heard += bytes(2 * samples)

    def say(self, type_: str, **fields: Any) -> None:
        """Have the model send an event."""
        self.say_raw(orjson.dumps({"type": type_, **fields}))

    def say_raw(self, message: bytes) -> None:
        """Have the model send any text; nobody hears it who has left."""
        if self._failed.is_set():
            return
        assert self._receiver is not None
        try:
            has_media = self._receiver.has_media
            event = protocol.read_upstream(message, has_media=has_media)
            self._receiver.upstream_event(event, message)
        except UpstreamError as error:
            self.fail(error)

    def fail(self, failure: UpstreamError) -> None:
        """Have the connection fail."""
        self.failure = failure
        self._failed.set()

    @property
    def sent_types(self) -> list[str]:
        return [orjson.loads(payload)["type"] for payload in self.sent]


class FakeClient:
    """A WebSocket client, or a server at a sideband, as the door shows it."""

    def __init__(self) -> None:
        self.raw_events: list[bytes] = []
        self.closes: list[tuple[int, str]] = []
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    def send(self, payload: bytes) -> None:
        if not self.closes:
            self.raw_events.append(payload)

    async def receive(self) -> bytes | None:
        return None if self.closes else await self._queue.get()

    def close(self, code: int, reason: str) -> None:
        self.closes.append((code, reason))
        self._queue.put_nowait(None)

    def says(self, type_: str, **fields: Any) -> None:
        """Have the client send an event."""
        self.says_raw(orjson.dumps({"type": type_, **fields}))

    def says_raw(self, message: bytes) -> None:
        """Have the client send any text."""
        self._queue.put_nowait(message)

    def leaves(self) -> None:
        """Have the client go."""
        self._queue.put_nowait(None)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(payload) for payload in self.raw_events]

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]
