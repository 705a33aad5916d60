"""Realtime over WebSocket: sessions, and servers that take part in a call.

    GET /v1/realtime?model=             a session of this client's own
    GET /v1/realtime?intent=transcription
    GET /v1/realtime?call_id=rtc_...    a live WebRTC call, for its tenant's servers
The key comes in the Authorization header or, from browsers, as the subprotocol
`openai-insecure-api-key.<key>`. Everything is refused before the upgrade, as JSON.

Events pass as they are, through a tunnel that is open before the upgrade: so what the
client says first is on its way at once, in order. Nothing is queued here; who does not
read holds back who writes. The edge itself closes with

    1001 it stops    1003 a binary message    1009 a message over 16 MiB
    1011 the relay was lost, which an `error` event has told before
and passes on the relay's closes.
"""

import asyncio
import logging
import secrets
from dataclasses import replace
from typing import Final, Literal, NamedTuple

from aiohttp import WSCloseCode, WSMsgType, web
from multidict import CIMultiDict
from prometheus_client import Gauge

from proto.channel import MAX_MESSAGE_BYTES
from proto.request import SessionRequest
from runtime.closing import close_reason, is_done_within
from runtime.traces import SILENT, Steps, Tracer
from transceiver.admission import Admission
from transceiver.auth import Caller, KeyRing, bearer
from transceiver.http.callers import (
    identified,
    speaks_beta,
    traceparent_of,
    with_api_key,
)
from transceiver.http.errors import ApiError
from transceiver.opening import opening
from transceiver.sight import CALL, SESSION
from transceiver.tunnel import LOST, Closed, Tunnel, Tunnels
from transceiver.uplink import relay_lost

log = logging.getLogger(__name__)

REALTIME_PATH: Final = "/v1/realtime"

HEARTBEAT_S: Final = 20.0
"""Seconds of silence after which a ping is sent; half as long for the answer."""

CLOSE_S: Final = 1.0
"""Seconds that a client gets to take our close."""

MAX_NAME_CHARACTERS: Final = 256
"""Of a model's name, or a call's id."""

_SUBPROTOCOL: Final = "realtime"
_KEY_SUBPROTOCOL: Final = "openai-insecure-api-key."
_BETA_SUBPROTOCOL: Final = "openai-beta.realtime-v1"

_OFFERED: Final = "Sec-WebSocket-Protocol"

_HANDSHAKE: Final = frozenset(
    {"connection", "upgrade", "sec-websocket-version", "sec-websocket-key"}
)
"""What an upgrade consists of (RFC 6455 section 4.1)."""

_WebSocket = web.WebSocketResponse[Literal[False]]


def realtime_routes(
    keys: KeyRing,
    admission: Admission,
    tunnels: Tunnels,
    held: Gauge,
    stop: asyncio.Event,
    tracer: Tracer = SILENT,
) -> list[web.RouteDef]:
    """Return the WebSocket's route.

    Args:
        keys: Tells who calls.
        admission: Holds a slot for each session; one who attaches needs none.
        tunnels: Lead to the relays.
        held: Counts the WebSockets that are held, by kind: session or sideband.
        stop: Once set, every client is let go with 1001.
        tracer: Tells of sessions.
    """

    async def realtime(request: web.Request) -> web.StreamResponse:
        offered = _subprotocols(request)
        caller = identified(request, keys, _key(request, offered))
        upgrade = _upgrade(request, offered)
        is_beta = speaks_beta(request) or _BETA_SUBPROTOCOL in offered
        if "call_id" in request.query:
            call_id = _query(request, "call_id") or ""
            with_api_key(caller)
            tunnel = await tunnels.attach(call_id, caller.tenant, is_beta)
            with held.labels("sideband").track_inprogress():
                passed = await _hold(upgrade, tunnel, call_id, stop)
            return await passed.close()
        wanted = _session(request, caller, is_beta)
        # The slot is free when the client sees the close: it may dial again at once.
        with admission.slot(caller.tenant), _traced(tracer, wanted) as trace:
            trace.begin(SESSION)
            wanted = replace(wanted, traceparent=trace.span.traceparent)
            tunnel = await tunnels.converse(wanted)
            trace.end(SESSION)
            with held.labels("session").track_inprogress():
                passed = await _hold(upgrade, tunnel, wanted.call_id, stop)
            trace.span.tell({"tandem.close.code": int(passed.ending.code)})
        return await passed.close()

    return [web.get(REALTIME_PATH, realtime, allow_head=False)]


def _subprotocols(request: web.Request) -> list[str]:
    lines = request.headers.getall(_OFFERED, ())
    return [word.strip() for line in lines for word in line.split(",")]


def _key(request: web.Request, offered: list[str]) -> str | None:
    in_header = bearer(request.headers.get("Authorization"))
    among_offered = (
        word.removeprefix(_KEY_SUBPROTOCOL)
        for word in offered
        if word.startswith(_KEY_SUBPROTOCOL)
    )
    return in_header or next(among_offered, None)


def _query(request: web.Request, name: str) -> str | None:
    value = request.query.get(name)
    if value is not None and len(value) > MAX_NAME_CHARACTERS:
        message = f"{name} is longer than {MAX_NAME_CHARACTERS} characters"
        raise ApiError(400, "invalid_value", message, name)
    return value


def _session(request: web.Request, caller: Caller, is_beta: bool) -> SessionRequest:  # noqa: FBT001  # as the request has it
    transcribes = request.query.get("intent") == "transcription"
    start = opening(caller, {"type": "transcription"} if transcribes else None)
    return SessionRequest(
        call_id=f"sess_{secrets.token_urlsafe(18)}",
        tenant=caller.tenant,
        model=_query(request, "model"),
        session=start.session,
        bound=start.bound,
        speaks_beta=is_beta,
        traceparent=traceparent_of(request),
    )


def _traced(tracer: Tracer, wanted: SessionRequest) -> Steps:
    fields = {
        "tandem.call.id": wanted.call_id,
        "tandem.tenant": wanted.tenant,
        "tandem.transport": "websocket",
    }
    return Steps(tracer.begin(CALL, fields, wanted.traceparent))


def _upgrade(request: web.Request, offered: list[str]) -> web.Request:
    """Return the request as the WebSocket library may see it: with no key in it.

    Where it finds no subprotocol that it knows, it logs all that were offered. What is
    not for it is left out: it cannot copy a header whose bytes are not UTF-8.

    Raises:
        ApiError: 400, it is no upgrade.
    """
    headers = CIMultiDict(
        (name, value)
        for name, value in request.headers.items()
        if name.lower() in _HANDSHAKE and value.isascii()
    )
    if _SUBPROTOCOL in offered:
        headers[_OFFERED] = _SUBPROTOCOL
    upgrade = request.clone(headers=headers)
    if not web.WebSocketResponse(protocols=(_SUBPROTOCOL,)).can_prepare(upgrade).ok:
        raise ApiError(400, "websocket_required", "expected a WebSocket upgrade")
    return upgrade


class _Passed(NamedTuple):
    """A WebSocket over which nothing passes any more, and how it is to end."""

    websocket: _WebSocket
    upgrade: web.Request
    ending: Closed

    async def close(self) -> web.StreamResponse:
        """Close it, or answer the client's close; cut off one who takes neither."""
        code, reason = self.ending
        closing = self.websocket.close(code=code, message=close_reason(reason))
        is_closed = await is_done_within(closing, 2 * CLOSE_S)
        is_lost = self.websocket.close_code == LOST
        if self.upgrade.transport is not None and (is_lost or not is_closed):
            self.upgrade.transport.abort()
        return self.websocket


async def _hold(
    upgrade: web.Request, tunnel: Tunnel, session_id: str, stop: asyncio.Event
) -> _Passed:
    """Upgrade, and let events pass until either side or the edge ends it."""
    websocket: _WebSocket = web.WebSocketResponse(
        protocols=(_SUBPROTOCOL,),
        heartbeat=HEARTBEAT_S,
        max_msg_size=MAX_MESSAGE_BYTES + 1,  # the first size refused
        timeout=CLOSE_S,
        compress=False,
        decode_text=False,
        autoclose=False,
    )
    began_s = asyncio.get_running_loop().time()
    try:
        await _prepare(websocket, upgrade)
        log.info("websocket opened", extra={"call": session_id})
        ending = await _pass_events(websocket, tunnel, stop)
    finally:
        await tunnel.close(WSCloseCode.OK, "")
    seconds = round(asyncio.get_running_loop().time() - began_s, 1)
    fields = {"call": session_id, "code": int(ending.code), "seconds": seconds}
    log.info("websocket closed", extra=fields)
    return _Passed(websocket, upgrade, ending)


async def _prepare(websocket: _WebSocket, upgrade: web.Request) -> None:
    try:
        await websocket.prepare(upgrade)
    except ConnectionError:
        raise ApiError(400, "client_left", "left during the upgrade") from None


async def _pass_events(
    websocket: _WebSocket, tunnel: Tunnel, stop: asyncio.Event
) -> Closed:
    """Pass events both ways; return how to close towards the client."""
    async with asyncio.TaskGroup() as tasks:
        passing = [
            tasks.create_task(_pass_down(websocket, tunnel)),
            tasks.create_task(_pass_up(websocket, tunnel)),
            tasks.create_task(_stopped(stop)),
        ]
        done, pending = await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
    return next(task.result() for task in passing if task in done)


async def _pass_up(websocket: _WebSocket, tunnel: Tunnel) -> Closed:
    while True:
        message = await websocket.receive()
        match message.type:
            case WSMsgType.TEXT:
                await tunnel.send(message.data)
            case WSMsgType.BINARY:
                return Closed(WSCloseCode.UNSUPPORTED_DATA, "events are JSON text")
            case WSMsgType.CLOSE:
                return Closed(message.data or WSCloseCode.OK, "")
            case _:
                return Closed(websocket.close_code or LOST, "")


async def _pass_down(websocket: _WebSocket, tunnel: Tunnel) -> Closed:
    try:
        while isinstance(received := await tunnel.receive(), bytes):
            await websocket.send_frame(received, WSMsgType.TEXT)
        if received.code != LOST:
            return received
        await websocket.send_frame(relay_lost(), WSMsgType.TEXT)
    except ConnectionError:
        return Closed(LOST, "the client is gone")
    return Closed(WSCloseCode.INTERNAL_ERROR, "the relay was lost")


async def _stopped(stop: asyncio.Event) -> Closed:
    await stop.wait()
    return Closed(WSCloseCode.GOING_AWAY, "the edge is stopping")
