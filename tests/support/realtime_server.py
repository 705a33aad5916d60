"""A scripted Realtime API on loopback, behaving as documented where the relay looks.

It refuses wrong keys, announces and updates sessions, collects appended audio, speaks
when told to, knows what can be cancelled and how long its items are, and answers what
is wrong with an error of the documented shape.
"""

import asyncio
import base64
import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
from aiohttp import web

from tests.support.waiting import LIMIT_S
from tests.support.web import serving

BYTES_PER_MS = 48
DELTA_BYTES = 9600


class ApiSession:
    """One connection, as the server has it."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self.socket = socket
        self.query = dict(request.query)
        self.headers = dict(request.headers)
        self.events: list[dict[str, Any]] = []
        self.heard = bytearray()
        self.config: dict[str, Any] = {"type": "realtime"}
        self.items: dict[str, int] = {}
        """Item id -> audio in ms."""
        self.active: str | None = None
        self.refuses_updates = False
        self.gone = asyncio.Event()
        self._ids = itertools.count(1)
        self._changed = asyncio.Condition()

    async def send(self, type_: str, **fields: Any) -> None:
        """Send a server event."""
        event = {"type": type_, "event_id": f"event_{next(self._ids)}", **fields}
        await self.socket.send_str(orjson.dumps(event).decode())

    async def begin_response(self) -> str:
        """Announce a response and return its id."""
        number = next(self._ids)
        self.active = f"resp_{number}"
        response = {"id": self.active, "status": "in_progress", "conversation_id": "c"}
        await self.send("response.created", response=response)
        return self.active

    async def say(self, pcm: bytes) -> str:
        """Speak audio in the active response, at once; return the item's id."""
        item_id = f"item_{next(self._ids)}"
        where: dict[str, Any] = {"response_id": self.active, "item_id": item_id}
        where |= {"output_index": 0, "content_index": 0}
        self.items[item_id] = len(pcm) // BYTES_PER_MS
        for start in range(0, len(pcm), DELTA_BYTES):
            delta = base64.b64encode(pcm[start : start + DELTA_BYTES]).decode()
            await self.send("response.output_audio.delta", delta=delta, **where)
        await self.send("response.output_audio.done", **where)
        return item_id

    async def end_response(self, status: str = "completed") -> None:
        """End the active response."""
        response, self.active = {"id": self.active, "status": status}, None
        await self.send("response.done", response=response)

    async def reply(self, pcm: bytes) -> str:
        """Speak a whole response; return its item's id."""
        await self.begin_response()
        item_id = await self.say(pcm)
        await self.end_response()
        return item_id

    async def interrupt(self) -> None:
        """Hear the caller speak: cancel what is being generated, as server VAD does."""
        await self.send("input_audio_buffer.speech_started", item_id="item_user")
        if self.active:
            await self.end_response("cancelled")

    async def received(self, type_: str) -> dict[str, Any]:
        """Wait for the first client event of a type."""
        async with asyncio.timeout(LIMIT_S), self._changed:
            await self._changed.wait_for(lambda: type_ in self.types)
            return next(event for event in self.events if event["type"] == type_)

    async def heard_bytes(self, count: int) -> None:
        """Wait until so much audio was appended."""
        async with asyncio.timeout(LIMIT_S), self._changed:
            await self._changed.wait_for(lambda: len(self.heard) >= count)

    @property
    def types(self) -> list[str]:
        """Types of the client events received so far, without appends."""
        return [event["type"] for event in self.events]

    async def take(self, message: str) -> None:
        """Act on a client event as documented."""
        event = orjson.loads(message)
        async with self._changed:
            if event["type"] == "input_audio_buffer.append":
                self.heard += base64.b64decode(event["audio"], validate=True)
            else:
                self.events.append(event)
            self._changed.notify_all()
        match event["type"]:
            case "session.update" if self.refuses_updates:
                await self.error(event, "invalid_value")
            case "session.update":
                self.config |= event["session"]
                await self.send("session.updated", session=self.config)
            case "response.cancel" if self.active is None:
                await self.error(event, "response_cancel_not_active")
            case "response.cancel":
                await self.end_response("cancelled")
            case "conversation.item.truncate":
                await self._truncate(event)
            case "conversation.item.delete":
                await self.send("conversation.item.deleted", item_id=event["item_id"])
            case "bad.event":
                await self.error(event, "invalid_value")
            case _:
                pass

    async def error(self, event: Mapping[str, Any], code: str) -> None:
        """Refuse a client event."""
        body: dict[str, Any] = {
            "type": "invalid_request_error",
            "code": code,
            "message": code,
        }
        body |= {"param": None, "event_id": event.get("event_id")}
        await self.send("error", error=body)

    async def _truncate(self, event: Mapping[str, Any]) -> None:
        item_id, end_ms = event["item_id"], event["audio_end_ms"]
        if end_ms > self.items.get(item_id, -1):
            await self.error(event, "invalid_value")
        else:
            fields = {"content_index": event["content_index"], "audio_end_ms": end_ms}
            await self.send("conversation.item.truncated", item_id=item_id, **fields)


class RealtimeServer:
    """The server; each connection becomes an `ApiSession` in `sessions`."""

    def __init__(self) -> None:
        self.key = "sk-right"
        self.refuse_with: int | None = None
        self.answers_after_s = 0.0
        self.refuse_updates = False
        self.sessions: asyncio.Queue[ApiSession] = asyncio.Queue()
        self.url = ""

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        await asyncio.sleep(self.answers_after_s)
        if self.refuse_with:
            headers = {"Retry-After": "7"} if self.refuse_with == 429 else {}
            return web.json_response(status=self.refuse_with, headers=headers)
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return web.json_response({"error": {"message": "no"}}, status=401)
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        session = ApiSession(socket, request)
        session.refuses_updates = self.refuse_updates
        await session.send("session.created", session=session.config)
        self.sessions.put_nowait(session)
        try:
            async for message in socket:
                await session.take(message.data)
        except ConnectionError:  # it left before it was answered
            pass
        finally:
            session.gone.set()
        return socket

    async def next_session(self) -> ApiSession:
        """Return the next connection that was or will be made."""
        async with asyncio.timeout(LIMIT_S):
            return await self.sessions.get()


@contextlib.asynccontextmanager
async def running_server() -> AsyncIterator[RealtimeServer]:
    """Run the server on a free loopback port."""
    server = RealtimeServer()
    app = web.Application()
    app.router.add_get("/v1/realtime", server.connect)
    async with serving(app) as address:
        server.url = f"ws://{address}/v1/realtime"
        yield server
