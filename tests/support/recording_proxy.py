"""A WebSocket proxy that keeps what an unmodified client and a Realtime server said.

It stands between them with an address of its own, passes on path, query, headers,
subprotocols, every message as it is and the close code, and knows nothing of events
but their JSON.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
import orjson
from aiohttp import WSCloseCode, hdrs, web

from tests.support.web import serving

Side = Literal["client", "server"]
Event = dict[str, Any]

NOT_PASSED_ON = {
    hdrs.HOST,
    hdrs.CONNECTION,
    hdrs.UPGRADE,
    hdrs.SEC_WEBSOCKET_EXTENSIONS,
    hdrs.SEC_WEBSOCKET_KEY,
    hdrs.SEC_WEBSOCKET_PROTOCOL,
    hdrs.SEC_WEBSOCKET_VERSION,
}
"""What belongs to one connection and not to the request (RFC 9110 section 7.6.1, RFC
6455 section 4.1); subprotocols are offered anew."""

NO_STATUS = 1005
"""No code in the close frame; never sent as one (RFC 6455 section 7.4.1)."""


@dataclass(frozen=True)
class Said:
    """One message.

    Attributes:
        at_s: Seconds on the loop's clock.
        by: Who sent it.
        event: What it says.
    """

    at_s: float
    by: Side
    event: Event


@dataclass
class Session:
    """One connection of a client, from its handshake on.

    Attributes:
        path: With the query, as the client asked for it.
        headers: As the client sent them.
        offered: Subprotocols that the client offers.
        chosen: The one that the server picked.
        said: All messages of both sides, in order.
        closed: Who closed it, with which code; None while it is open.
    """

    path: str
    headers: dict[str, str]
    offered: list[str]
    chosen: str | None = None
    said: list[Said] = field(default_factory=list)
    closed: tuple[Side, int] | None = None

    def events(self, by: Side, *kinds: str) -> list[Event]:
        """Return what one side said, of all types or of the named ones."""
        return list(self._events(by, kinds))

    def _events(self, by: Side, kinds: tuple[str, ...]) -> Iterator[Event]:
        for said in self.said:
            if said.by == by and (not kinds or said.event["type"] in kinds):
                yield said.event


class RecordingProxy:
    """The proxy: give clients its `url` instead of the server's.

    Attributes:
        url: Base URL, without a trailing slash; set while it runs.
        sessions: One a connection, refused ones too, in order.
    """

    def __init__(self, server_url: str) -> None:
        self.url = ""
        self.sessions: list[Session] = []
        self._server_url = server_url

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen on a free loopback port."""
        async with aiohttp.ClientSession() as self._http:
            app = web.Application()
            app.router.add_get("/{path:.*}", self._pass_on)
            async with serving(app) as address:
                self.url = f"http://{address}"
                yield

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        names = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "")
        offered = [name.strip() for name in names.split(",") if name.strip()]
        session = Session(request.path_qs, dict(request.headers), offered)
        self.sessions.append(session)
        headers = [h for h in request.headers.items() if h[0] not in NOT_PASSED_ON]
        try:
            server = await self._http.ws_connect(
                self._server_url + request.path_qs,
                headers=headers,
                protocols=offered,
                max_msg_size=0,
            )
        except aiohttp.WSServerHandshakeError as refused:
            return web.Response(status=refused.status)
        session.chosen = server.protocol
        chosen = [server.protocol] if server.protocol else []
        client = web.WebSocketResponse(protocols=chosen, max_msg_size=0, compress=False)
        await client.prepare(request)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_carry(client, server, "client", session))
            tasks.create_task(_carry(server, client, "server", session))
        return client


Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


async def _carry(source: Socket, sink: Socket, by: Side, session: Session) -> None:
    """Carry messages one way until the source closes, then close the sink likewise."""
    loop = asyncio.get_running_loop()
    async for message in source:
        event = orjson.loads(message.data)
        session.said.append(Said(loop.time(), by, event))
        with contextlib.suppress(ConnectionError):  # the other side has just gone
            if message.type is aiohttp.WSMsgType.TEXT:
                await sink.send_str(message.data)
            else:
                await sink.send_bytes(message.data)
    code = source.close_code or WSCloseCode.ABNORMAL_CLOSURE
    if session.closed is None:
        session.closed = by, code
    sendable = code not in (NO_STATUS, WSCloseCode.ABNORMAL_CLOSURE)
    await sink.close(code=code if sendable else WSCloseCode.OK)
