"""The tunnel's listening end: WebSocket over TCP, beside the link (PROTOCOL.md 14).

    upgrade ──proof──► opening ──request──► conversing ──► closed
       └─► 403, 503       └─ 3 s, no request ──────────────►┘
Who shows no key gets no upgrade. What was asked for is decided by `answer`; this only
carries messages. One task a tunnel writes, in order; the conversation reads when it is
ready, so a session that does not keep up holds back its client through TCP.
"""

import asyncio
import base64
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, Literal, Protocol

from aiohttp import WSCloseCode, WSMsgType, web

from proto import tunnel
from proto.channel import (
    MAX_MESSAGE_BYTES,
    NONCE_BYTES,
    TAG_BYTES,
    Channel,
    RelayHandshake,
    VerifiedHello,
    tunnel_key,
)
from proto.errors import RemoteError
from proto.tunnel import Admitted, Facts, Refused, TunnelRequest
from runtime.closing import close_reason, is_done_within
from runtime.settings import Address

log = logging.getLogger(__name__)

MAX_TUNNELS: Final = 4096
"""Open at a time; more are answered 503."""

MAX_QUEUED_MESSAGES: Final = 1024
"""Events that wait for one client."""

MAX_QUEUED_BYTES: Final = 16 * 1024 * 1024
"""Of the same events."""

HEARTBEAT_S: Final = 10.0
"""Seconds of silence after which a ping is sent; half as long for the answer."""

LAST_WORDS_S: Final = 1.0
"""Seconds that what is queued gets to leave before the close, and the close itself."""

IDLE_S: Final = 3.0
"""Seconds that a connection may be without an upgrade, however slowly it asks."""

BACKLOG: Final = 512
"""Connections that the kernel holds until they are taken."""

_WebSocket = web.WebSocketResponse[Literal[True]]


class ClientEnd(Protocol):
    """One client of a session, as the session sees it."""

    def send(self, payload: bytes) -> None:
        """Queue an event for the client.

        1,024 events and 16 MiB wait at most. When the queue is full nothing of it is
        sent, since the client would misunderstand the rest: it counts as gone, and is
        closed with 1013. What is sent to one who is gone is dropped.
        """

    async def receive(self) -> bytes | None:
        """Return the client's next event; None: it is gone."""

    def close(self, code: int, reason: str) -> None:
        """Let the client go when what is queued has been sent; the first close counts.

        Args:
            code: Of a WebSocket (RFC 6455 section 7.4).
            reason: For people; what exceeds 123 bytes is cut off.
        """


class Conversation(Protocol):
    """What an admitted client takes part in."""

    async def run(self, client: ClientEnd) -> None:
        """Converse until either is done; cancelled when the relay stops."""


class Door:
    """Serves all tunnels on one TCP port. It binds at once.

    Args:
        address: Where to listen; port 0 lets the system choose.
        key: The link's pre-shared key.
        answer: Decides about a request; must not raise.
        former_key: A second key accepted while keys are changed.

    Raises:
        OSError: The address cannot be bound.
    """

    def __init__(
        self,
        address: Address,
        key: bytes,
        answer: Callable[[TunnelRequest], Conversation | Facts | Refused],
        *,
        former_key: bytes | None = None,
    ) -> None:
        keys = [tunnel_key(each) for each in (key, former_key) if each is not None]
        self._handshake = RelayHandshake(tuple(keys))
        self._answer = answer
        self._open: set[_Client] = set()
        self._socket = _listening(address)
        self.refused = 0

    def __len__(self) -> int:
        return len(self._open)

    @property
    def address(self) -> Address:
        """The bound host and port."""
        return Address(*self._socket.getsockname()[:2])

    async def run(self) -> None:
        """Serve until cancelled; then every client sees 1001."""
        app = web.Application()
        app.add_routes([web.get(tunnel.PATH, self._enter)])
        app.on_shutdown.append(self._leave)
        runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=3 * LAST_WORDS_S,
            keepalive_timeout=IDLE_S,
            lingering_time=0,
            auto_decompress=False,  # strangers send bodies too
        )
        try:
            await runner.setup()
            await web.SockSite(runner, self._socket).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()
            self._socket.close()

    async def _leave(self, _: web.Application) -> None:
        for client in tuple(self._open):
            client.stop()

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        """Take an upgrade."""
        try:
            hello = self._handshake.verified(_hello(request))
        except RemoteError:
            self.refused += 1
            return web.Response(status=403)
        websocket = web.WebSocketResponse(
            heartbeat=HEARTBEAT_S,
            max_msg_size=MAX_MESSAGE_BYTES + TAG_BYTES + 1,  # the first size refused
            timeout=LAST_WORDS_S,
            compress=False,
        )
        if not websocket.can_prepare(request):
            return web.Response(status=400)
        if len(self._open) >= MAX_TUNNELS:
            return web.Response(status=503)
        client = _Client(websocket, request)
        self._open.add(client)
        try:
            if not await client.upgrade():
                return web.Response(status=400)  # nobody reads it
            await self._serve(client, hello)
        finally:
            self._open.discard(client)
        return websocket

    async def _serve(self, client: "_Client", hello: VerifiedHello) -> None:
        try:
            asked = await client.welcome(hello)
        except (RemoteError, ValueError, TimeoutError, ConnectionError) as error:
            self.refused += 1
            log.warning("tunnel refused", extra={"why": type(error).__name__})
            client.close(WSCloseCode.POLICY_VIOLATION, "no request")
            await client.take_leave()
            return
        answer = self._answer(asked)
        if isinstance(answer, Facts | Refused):
            client.send(tunnel.encode_answer(answer))
            client.close(WSCloseCode.OK, "")
            await client.take_leave()
        else:
            client.send(tunnel.encode_answer(Admitted()))
            await client.converse(answer)


class _Client:
    """One tunnel."""

    def __init__(self, websocket: _WebSocket, request: web.Request) -> None:
        self._websocket = websocket
        self._request = request
        self._channel: Channel | None = None
        self._call_id = ""
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()
        self._ending = (int(WSCloseCode.OK), "")
        self._receiving: asyncio.Timeout | None = None
        self._relay_stops = False

    async def upgrade(self) -> bool:
        """Make the connection a WebSocket, unless the edge has left meanwhile."""
        try:
            await self._websocket.prepare(self._request)
        except ConnectionError:
            return False
        return True

    async def welcome(self, hello: VerifiedHello) -> TunnelRequest:
        """Prove the relay, and return what the edge asks for.

        Raises:
            RemoteError: What came is not authentic.
            ValueError: It is no request.
            TimeoutError: It did not come in time.
            ConnectionError: The edge has left.
        """
        proof, channel = hello.welcome(os.urandom(NONCE_BYTES))
        async with asyncio.timeout(tunnel.OPENING_S):
            await self._websocket.send_bytes(proof)
            message = await self._websocket.receive()
        if message.type is not WSMsgType.BINARY:
            raise RemoteError("no request")
        asked = tunnel.decode_request(channel.open(message.data))
        self._channel, self._call_id = channel, asked.call_id
        return asked

    async def converse(self, conversation: Conversation) -> None:
        """Run a conversation, then let the client go."""
        async with asyncio.TaskGroup() as tasks:
            conversing = tasks.create_task(self._run(conversation))
            writing = tasks.create_task(self._write())
            await self._ended.wait()
            await self._let_go(writing)
            if self._relay_stops:
                conversing.cancel()

    async def take_leave(self) -> None:
        """Send what is queued, and close."""
        async with asyncio.TaskGroup() as tasks:
            await self._let_go(tasks.create_task(self._write()))

    def stop(self) -> None:
        """Let the client go: the relay stops."""
        self._relay_stops = True
        self.close(WSCloseCode.GOING_AWAY, "the relay is stopping")

    # For the conversation: see `ClientEnd`.

    def send(self, payload: bytes) -> None:
        """Queue an event."""
        if self._ended.is_set():
            return
        self._queued_bytes += len(payload)
        if (
            len(self._queue) >= MAX_QUEUED_MESSAGES
            or self._queued_bytes > MAX_QUEUED_BYTES
        ):
            self._queue.clear()
            self.close(WSCloseCode.TRY_AGAIN_LATER, "events are taken too slowly")
        else:
            self._queue.append(payload)
            self._wake.set()

    async def receive(self) -> bytes | None:
        """Return the next event."""
        if self._ended.is_set() or self._channel is None:
            return None
        try:
            async with asyncio.timeout(None) as self._receiving:
                message = await self._websocket.receive()
        except TimeoutError:  # closed meanwhile
            return None
        finally:
            self._receiving = None
        if message.type is WSMsgType.BINARY:
            try:
                return self._channel.open(message.data)
            except RemoteError:
                fields = {"call": self._call_id, "why": "not authentic"}
                log.warning("tunnel broken", extra=fields)
                self.close(WSCloseCode.POLICY_VIOLATION, "not authentic")
        self.close(WSCloseCode.OK, "")
        return None

    def close(self, code: int, reason: str) -> None:
        """End, when what is queued has been sent; nothing more is received."""
        if self._ended.is_set():
            return
        self._ending = (code, reason)
        self._ended.set()
        self._wake.set()
        if self._receiving is not None:
            self._receiving.reschedule(asyncio.get_running_loop().time())

    # The tasks of a tunnel.

    async def _run(self, conversation: Conversation) -> None:
        try:
            await conversation.run(self)
        except Exception:  # a bug in one must reach its client as a close
            log.exception("conversation failed", extra={"call": self._call_id})
            self.close(WSCloseCode.INTERNAL_ERROR, "internal error")
        finally:
            self.close(WSCloseCode.OK, "")

    async def _write(self) -> None:
        """Send what is queued, until the end has come and all is sent."""
        assert self._channel is not None or not self._queue
        while not (self._ended.is_set() and not self._queue):
            await self._wake.wait()
            self._wake.clear()
            while self._queue and self._channel is not None:
                payload = self._queue.popleft()
                self._queued_bytes -= len(payload)
                try:
                    await self._websocket.send_bytes(self._channel.seal(payload))
                except ConnectionError:
                    self._queue.clear()
                    self.close(WSCloseCode.GOING_AWAY, "")

    async def _let_go(self, writing: asyncio.Task[None]) -> None:
        """Send the last words and the close; cut off who takes neither."""
        code, reason = self._ending
        is_closed = await is_done_within(writing, LAST_WORDS_S) and (
            await is_done_within(
                self._websocket.close(code=code, message=close_reason(reason)),
                2 * LAST_WORDS_S,
            )
        )
        is_lost = self._websocket.close_code == WSCloseCode.ABNORMAL_CLOSURE
        if self._request.transport is not None and (is_lost or not is_closed):
            self._request.transport.abort()


def _listening(address: Address) -> socket.socket:
    """Return a listening socket; an OSError names the address."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        where = f"TCP {address.host} port {address.port}: {error.strerror}"
        raise OSError(error.errno, where) from None


def _hello(request: web.Request) -> bytes:
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme != tunnel.SCHEME:
        raise RemoteError("no hello")
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # binascii.Error, or a character beyond ASCII
        raise RemoteError("not base64") from None
