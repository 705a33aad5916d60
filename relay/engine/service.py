"""Composition root of the built-in engine: loads the models, serves the WebSocket."""

import asyncio
import hmac
import logging
import random
from collections.abc import Mapping
from datetime import datetime

import aiohttp
from aiohttp import WSCloseCode, web
from prometheus_client import CollectorRegistry, Gauge

from relay.engine.client_events import MAX_EVENT_BYTES
from relay.engine.connection import Connection, Parts
from relay.engine.core import Core
from relay.engine.hearing import MoonshineHearing
from relay.engine.ids import Ids
from relay.engine.ports import Reply
from relay.engine.reply_chat import ChatReply
from relay.engine.reply_rules import RuleReply
from relay.engine.settings import EngineSettings
from relay.engine.speaking import HibariSpeaking
from relay.engine.stages import Stages
from relay.engine.vad import SileroVoice
from runtime import status

log = logging.getLogger(__name__)

MAX_SESSIONS = 32
"""Sessions at one time. Voice activity takes 5 % of a core each (measured), all of it
on one thread; of eight callers who end their turns at the same moment the median waits
0.3 s longer than one alone and the last up to 1.4 s, on two busy cores."""

DEFAULT_MODEL = "tandem-builtin"
"""Name of the model when the client gives none."""

_MAX_MESSAGE_BYTES = 2 * MAX_EVENT_BYTES
"""Beyond this the WebSocket closes with 1009; half of it and more is refused."""

_HEARTBEAT_S = 20.0
"""WebSocket pings, so that a session whose client vanished ends."""

_RETRY_AFTER_S = 5


class Engine:
    """The service: its models, its sessions, its metrics."""

    def __init__(
        self, parts: Parts, registry: CollectorRegistry, key: str = ""
    ) -> None:
        self._parts = parts
        self._key = key
        self._registry = registry
        self._ids = Ids(random.Random())
        self._sockets: set[web.WebSocketResponse] = set()
        Gauge(
            "tandem_engine_sessions", "Sessions now.", registry=registry
        ).set_function(lambda: len(self._sockets))

    def app(self) -> web.Application:
        """Return the HTTP application."""
        app = web.Application()
        app.add_routes(status.routes(self._registry, self._reason_not_ready))
        app.add_routes([web.get("/v1/realtime", self._realtime)])
        app.on_shutdown.append(self._close_sessions)
        return app

    def _reason_not_ready(self) -> str | None:
        return "full" if len(self._sockets) >= MAX_SESSIONS else None

    async def _realtime(self, request: web.Request) -> web.StreamResponse:
        if (refusal := self.refusal(request)) is not None:
            return refusal
        socket = web.WebSocketResponse(
            protocols=("realtime",),
            heartbeat=_HEARTBEAT_S,
            max_msg_size=_MAX_MESSAGE_BYTES,
            compress=False,
        )
        self._sockets.add(socket)  # before it can wait: no two take the last place
        try:
            return await self._converse(socket, request)
        finally:
            self._sockets.discard(socket)

    async def _converse(
        self, socket: web.WebSocketResponse, request: web.Request
    ) -> web.StreamResponse:
        try:
            await socket.prepare(request)
        except ConnectionError:  # the client has left: nobody reads the answer
            return web.Response(status=400)
        log.info("session opened", extra={"sessions": len(self._sockets)})
        try:
            core = new_core(self._ids, request.query)
            await Connection(socket, core, self._parts).run()
        finally:
            log.info("session closed", extra={"sessions": len(self._sockets) - 1})
        return socket

    def refusal(self, request: web.Request) -> web.Response | None:
        """Return why a request is not served, or None."""
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        given = key if scheme.lower() == "bearer" else ""
        if self._key and not hmac.compare_digest(given.encode(), self._key.encode()):
            return _error(401, "invalid_api_key", "Incorrect API key provided.")
        if not web.WebSocketResponse().can_prepare(request).ok:
            return _error(400, "websocket_required", "Expected a WebSocket upgrade.")
        if len(self._sockets) >= MAX_SESSIONS:
            response = _error(503, "server_busy", "Too many sessions; try again later.")
            response.headers["Retry-After"] = str(_RETRY_AFTER_S)
            return response
        return None

    async def _close_sessions(self, _: web.Application) -> None:
        for socket in tuple(self._sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY, message=b"stopping")


def new_core(ids: Ids, query: Mapping[str, str]) -> Core:
    """Return the session that a URL asks for."""
    return Core(
        ids,
        query.get("model") or DEFAULT_MODEL,
        only_transcribes=query.get("intent") == "transcription",
    )


def _error(status_code: int, code: str, message: str) -> web.Response:
    body = {
        "type": "invalid_request_error",
        "code": code,
        "message": message,
        "param": None,
    }
    return web.json_response({"error": body}, status=status_code)


def _wall_clock() -> datetime:
    return datetime.now().astimezone()  # noqa: TID251  # the only wall clock here; made aware


def load_parts(stages: Stages, reply: Reply) -> Parts:
    """Load the models; takes some seconds, so not for the event loop."""
    return Parts(
        stages=stages,
        new_voice_activity=SileroVoice,
        hearing=MoonshineHearing(),
        speaking=HibariSpeaking(),
        reply=reply,
    )


async def serve(settings: EngineSettings, stop: asyncio.Event) -> None:
    """Serve until told to stop."""
    registry = CollectorRegistry()
    stages = Stages(registry)
    async with aiohttp.ClientSession() as client:
        reply: Reply = RuleReply(_wall_clock)
        if settings.chat_url:
            reply = ChatReply(
                client, settings.chat_url, settings.chat_key, settings.chat_model
            )
        parts = await asyncio.to_thread(load_parts, stages, reply)
        engine = Engine(parts, registry, settings.upstream_key)
        runner = web.AppRunner(engine.app(), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, settings.host, settings.port).start()
            host, port = runner.addresses[0][:2]
            log.info("engine ready", extra={"host": host, "port": port})
            await stop.wait()
        finally:
            await runner.cleanup()
            stages.close()
