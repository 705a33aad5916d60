"""The tunnel's dialling end: WebSocket sessions, and control of calls by their id.

A tunnel is a WebSocket to a relay's door, proven and sealed (PROTOCOL.md 14). A session
goes to the best relay that takes it. Which relay holds a call is written down
nowhere: all that are up are asked at once, and the one that knows it answers.
"""

import asyncio
import base64
import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, Literal, NamedTuple

import aiohttp
from aiohttp import WSCloseCode, WSMsgType
from yarl import URL

from proto import tunnel
from proto.channel import (
    MAX_MESSAGE_BYTES,
    NONCE_BYTES,
    TAG_BYTES,
    Channel,
    EdgeHandshake,
    tunnel_key,
)
from proto.errors import LocalError, RemoteError
from proto.request import SessionRequest
from proto.tunnel import (
    Admitted,
    Attach,
    Converse,
    Describe,
    Facts,
    HangUp,
    Refused,
    TunnelRequest,
)
from proto.udp import Dialer
from runtime.closing import close_reason, is_done_within
from runtime.settings import Address
from transceiver.uplink import NoRelay, Uplink

log = logging.getLogger(__name__)

DIAL_S: Final = 3.0
"""Seconds for name, TCP, upgrade and the relay's proof together."""

ANSWER_S: Final = 3.0
"""Seconds that a relay gets for its answer: it decides at once, it asks nobody."""

HEARTBEAT_S: Final = 10.0
"""Seconds of silence after which a ping is sent; half as long for the answer."""

CLOSE_S: Final = 1.0
"""Seconds that a relay gets to answer our close."""

LOST: Final = 1006
"""Close code of a connection that ended without one (RFC 6455 section 7.4.1)."""

_WebSocket = aiohttp.ClientWebSocketResponse[Literal[True]]


class Closed(NamedTuple):
    """How a tunnel ended: the relay's close, or LOST without one."""

    code: int
    reason: str


class Refusal(Exception):  # noqa: N818  # reads as what happened
    """What was asked for is not had.

    Attributes:
        status: HTTP status fit for the client.
        code: For programs.
        message: For people.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Tunnel:
    """An admitted tunnel. One task sends, one receives; `close` frees it.

    Nothing is queued here: `send` waits while the relay does not take more, and the
    relay waits while nobody receives.
    """

    def __init__(
        self, websocket: _WebSocket, channel: Channel, on_close: Callable[[], None]
    ) -> None:
        self._websocket = websocket
        self._channel = channel
        self._on_close: Callable[[], None] | None = on_close

    async def send(self, payload: bytes) -> None:
        """Send one event; dropped where the tunnel has ended, as `receive` will tell.

        Raises:
            LocalError: It is longer than 16 MiB.
        """
        sealed = self._channel.seal(payload)
        with contextlib.suppress(ConnectionError):
            await self._websocket.send_bytes(sealed)

    async def receive(self) -> bytes | Closed:
        """Return the next event, or how the tunnel ended."""
        message = await self._websocket.receive()
        if message.type is WSMsgType.BINARY:
            try:
                return self._channel.open(message.data)
            except RemoteError:
                await self.close(WSCloseCode.POLICY_VIOLATION, "not authentic")
                return Closed(LOST, "a message was not authentic")
        if message.type is WSMsgType.CLOSE:
            return Closed(message.data or WSCloseCode.OK, message.extra or "")
        return Closed(LOST, "the connection broke")

    async def close(self, code: int, reason: str) -> None:
        """End the tunnel; what exceeds 123 bytes of the reason is cut off."""
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()
        await _leave(self._websocket, code, reason)


class Tunnels:
    """Opens tunnels to the relays.

    Args:
        http: Owned by the service; its connector must have no limit, since each tunnel
            keeps its connection.
        uplink: Knows the relays, and which of them are up.
        key: The link's pre-shared key.
    """

    def __init__(self, http: aiohttp.ClientSession, uplink: Uplink, key: bytes) -> None:
        self._http = http
        self._uplink = uplink
        self._key = tunnel_key(key)

    async def converse(self, request: SessionRequest) -> Tunnel:
        """Return a tunnel to a new session, at the best relay that takes it.

        Raises:
            Refusal: 503, no relay takes it now; 413, the request is too long.
        """
        refused = _UNREACHABLE
        for relay in _known(self._uplink.ranked):
            answer = await self._ask(relay, Converse(request))
            if isinstance(answer, Tunnel):
                return answer
            if isinstance(answer, Refused):
                refused = answer
                if answer.code == tunnel.DRAINING:
                    self._uplink.leave_out(relay)
            if refused.status != _UNREACHABLE.status:
                break
        raise Refusal(*refused)

    async def attach(self, call_id: str, tenant: str, speaks_beta: bool) -> Tunnel:  # noqa: FBT001  # as the request has it
        """Return a tunnel to a live call.

        Raises:
            Refusal: 404, the tenant has no such call; 503, no relay can be asked.
        """
        answer = await self._find(Attach(call_id, tenant, speaks_beta))
        if isinstance(answer, Tunnel):
            return answer
        raise Refusal(*_UNREACHABLE)

    async def hang_up(self, call_id: str, tenant: str) -> None:
        """End a live call.

        Raises:
            Refusal: As of `attach`.
        """
        await self._facts(HangUp(call_id, tenant))

    async def describe(self, call_id: str, tenant: str) -> Mapping[str, Any]:
        """Return how a live call stands.

        Raises:
            Refusal: As of `attach`.
        """
        return await self._facts(Describe(call_id, tenant))

    async def _facts(self, request: TunnelRequest) -> Mapping[str, Any]:
        answer = await self._find(request)
        if isinstance(answer, Facts):
            return answer.fields
        await answer.close(WSCloseCode.PROTOCOL_ERROR, "not what was asked for")
        raise Refusal(*_UNREACHABLE)

    async def _find(self, request: TunnelRequest) -> Tunnel | Facts:
        """Ask every relay at once, and return what the first says that knows."""
        relays = _known(self._uplink.connected)
        found: Tunnel | Facts | None = None
        refused = []
        asking: list[asyncio.Task[Tunnel | Facts | Refused]] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                asking += [
                    tasks.create_task(self._ask(relay, request)) for relay in relays
                ]
                for coming in asyncio.as_completed(asking):
                    answer = await coming
                    if not isinstance(answer, Refused):
                        found = answer
                        break
                    refused.append(answer)
                for task in asking:
                    task.cancel()
        except BaseException:
            found = None
            raise
        finally:
            await _close_all(asking, but=found)
        if found is None:
            raise Refusal(*min(refused, key=_weakness))
        return found

    async def _ask(
        self, relay: Dialer, request: TunnelRequest
    ) -> Tunnel | Facts | Refused:
        """Ask one relay; one that cannot be reached has refused with 503."""
        self._uplink.tunnels[relay] += 1
        release = partial(self._uplink.tunnels.subtract, [relay])
        answer: Tunnel | Facts | Refused = _UNREACHABLE
        try:
            answer = await self._asked(relay.address, request, release)
        except LocalError:
            answer = Refused(
                413, "request_too_large", "the session is larger than a relay takes"
            )
        except (aiohttp.ClientError, OSError, RemoteError, ValueError) as error:
            log.warning(  # TimeoutError is an OSError
                "no tunnel to relay",
                extra={
                    "call": request.call_id,
                    "relay": str(relay.address),
                    "error": type(error).__name__,
                },
            )
        finally:
            if not isinstance(answer, Tunnel):
                release()
        return answer

    async def _asked(
        self, address: Address, request: TunnelRequest, release: Callable[[], None]
    ) -> Tunnel | Facts | Refused:
        opening = tunnel.encode_request(request)
        async with asyncio.timeout(DIAL_S):
            websocket, channel = await self._dial(address)
        try:
            async with asyncio.timeout(ANSWER_S):
                await websocket.send_bytes(channel.seal(opening))
                sealed = await _message(websocket)
            answer = tunnel.decode_answer(channel.open(sealed))
        except BaseException:
            await _leave(websocket)
            raise
        if isinstance(answer, Admitted):
            return Tunnel(websocket, channel, release)
        await _leave(websocket)
        return answer

    async def _dial(self, address: Address) -> tuple[_WebSocket, Channel]:
        handshake = EdgeHandshake(self._key, os.urandom(NONCE_BYTES))
        hello = base64.b64encode(handshake.hello()).decode()
        websocket = await self._http.ws_connect(
            URL.build(
                scheme="http", host=address.host, port=address.port, path=tunnel.PATH
            ),
            headers={"Authorization": f"{tunnel.SCHEME} {hello}"},
            heartbeat=HEARTBEAT_S,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
            max_msg_size=MAX_MESSAGE_BYTES + TAG_BYTES + 1,  # the first size refused
            compress=0,
        )
        try:
            return websocket, handshake.welcomed(await _message(websocket))
        except BaseException:
            await _leave(websocket)
            raise


_UNREACHABLE: Final = Refused(503, "server_overloaded", "no relay can be reached")


def _known(relays: Callable[[], list[Dialer]]) -> list[Dialer]:
    try:
        return relays()
    except NoRelay as error:
        raise Refusal(503, "server_overloaded", str(error)) from None


async def _leave(
    websocket: _WebSocket, code: int = WSCloseCode.OK, reason: str = ""
) -> None:
    closing = websocket.close(code=code, message=close_reason(reason))
    await is_done_within(closing, 2 * CLOSE_S)


async def _message(websocket: _WebSocket) -> bytes:
    message = await websocket.receive()
    if message.type is not WSMsgType.BINARY:
        raise RemoteError("the relay closed the tunnel")
    data: bytes = message.data
    return data


async def _close_all(
    asked: Iterable[asyncio.Task[Tunnel | Facts | Refused]],
    *,
    but: Tunnel | Facts | None,
) -> None:
    """Close the tunnels that were opened and are not wanted."""
    for task in asked:
        if task.cancelled() or task.exception() is not None:
            continue
        answer = task.result()
        if isinstance(answer, Tunnel) and answer is not but:
            await answer.close(WSCloseCode.GOING_AWAY, "not wanted any more")


def _weakness(refused: Refused) -> int:
    """Rank refusals: who was reached knows more, who knows the call knows most."""
    return {503: 2, 404: 1}.get(refused.status, 0)
