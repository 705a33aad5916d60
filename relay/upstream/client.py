"""A Realtime API over its WebSocket: the shell around `protocol` (aiohttp, GA only).

What goes wrong becomes an `UpstreamError` that says so in words: handshakes refused,
closes, messages too large, a peer that stops answering or reading. There is no retry
here: a session that loses its upstream ends.
"""

import asyncio
import contextlib
import types
from collections import deque
from collections.abc import Awaitable, Coroutine, Generator, Mapping
from typing import Any, Final, Literal

import aiohttp
from aiohttp import WSMsgType
from yarl import URL

from relay.upstream import protocol
from relay.upstream.deltas import Deltas
from relay.upstream.events import AudioDelta
from relay.upstream.port import (
    Receiver,
    UpstreamError,
    UpstreamLost,
    UpstreamRefused,
)
from runtime.closing import is_done_within

CONNECT_TIMEOUT_S = 10.0
"""Seconds for name, TCP, TLS and WebSocket together."""

HEARTBEAT_S = 10.0
"""Seconds of silence after which a ping has been sent, at the latest."""

PONG_S = HEARTBEAT_S / 2
"""Seconds for the answer, or for anything else: the end of a message that takes its
time. So often is looked whether anything came."""

CLOSE_TIMEOUT_S = 1.0
"""Seconds the peer gets to answer our close."""

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""A retrieved item of 4 minutes of audio in base64 has 15 MB."""

MAX_QUEUED_MESSAGES = 1024
"""20 s of audio: twice the longest connect."""

MAX_QUEUED_BYTES = 16 * 1024 * 1024
"""Of events, which may carry images."""

WAITING_SHARE = 2
"""Who can wait has the queue's first half: the other is for a call's audio, which
cannot."""

_TEXT: Final = WSMsgType.TEXT
_WebSocket = aiohttp.ClientWebSocketResponse[Literal[False]]

_REFUSALS = {
    401: ("upstream_unauthorized", "The Realtime API refused the relay's key"),
    403: ("upstream_forbidden", "The Realtime API does not permit this to the relay"),
    404: ("upstream_not_found", "The Realtime API has no such address or model"),
    429: ("upstream_rate_limited", "The Realtime API takes no more sessions now"),
}

_BUSY = frozenset({429, 503})
"""HTTP statuses of a service that takes no more sessions now."""

_TRY_AGAIN_LATER = 1013
"""Close code (IANA registry) for a client whose upstream takes no more sessions now."""

_OWN_CLOSES = range(3000, 5000)
"""Close codes that mean what the service says they mean (RFC 6455 section 7.4.2)."""

_KEY = b"[key]"
"""Stands for the relay's key where the service quotes it."""

_REFUSED_BY_CLOSING = 3000
_WRONG_KEY = "invalid_request_error.invalid_api_key"
"""How OpenAI closes a session whose key it finds wrong after the handshake."""


class RealtimeClient:
    """One session on a Realtime WebSocket.

    What is sent before the connection is up, or faster than the peer reads, waits in a
    queue of 1,024 messages and 16 MiB, or one larger message. When it is full nothing
    is dropped, since the upstream would mishear: the connection counts as lost. Who can
    wait asks for `room` first, and never fills more than half of it.

    Args:
        http: Owned by the service.
        url: ws:// or wss://.
        key: Bearer token; empty: none is sent.
        query: Added to the URL, where it does not say otherwise itself.
    """

    is_live = False

    def __init__(
        self, http: aiohttp.ClientSession, url: str, key: str, query: Mapping[str, str]
    ) -> None:
        self._http = http
        own = URL(url)
        self._url = own.update_query(query).update_query(own.query)
        self._key = key
        self._key_bytes = key.encode()
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._overrun = asyncio.Event()
        self._taken = asyncio.Event()
        self._is_over = False
        self._is_silent = True
        self._deltas = Deltas()
        self._websocket: _WebSocket | None = None
        self._writes_now = False
        """Connected, and nothing waits."""
        self._sending: Awaitable[None] | None = None
        """What was begun and did not end at once."""

    async def run(self, receiver: Receiver, tasks: asyncio.TaskGroup) -> None:
        """Connect, then converse until cancelled; see `Upstream.run`."""
        try:
            websocket = await self._connect()
            receiver.upstream_connected()
            writing = tasks.create_task(self._write(websocket))
            watching = tasks.create_task(self._watch())
            pinging = tasks.create_task(self._ping_if_silent(websocket))
            try:
                await self._read(websocket, receiver)
            finally:
                writing.cancel()
                watching.cancel()
                pinging.cancel()
                # Bounded as a whole: aiohttp waits as long after each message it reads.
                await is_done_within(websocket.close(), 2 * CLOSE_TIMEOUT_S)
        finally:
            self._is_over = True
            self._taken.set()

    def send(self, payload: bytes) -> None:
        """Send an event now, or queue it. HOT PATH."""
        if self._writes_now:
            self._write_now(payload)
        elif self._has_room(len(payload), share=1):
            self._queue.append(payload)
            self._queued_bytes += len(payload)
            self._wake.set()
        else:
            self._overrun.set()

    @property
    def waiting(self) -> int:
        """Messages in the queue."""
        return len(self._queue)

    async def room(self, size_bytes: int) -> None:
        """Wait until the queue takes an event of that size."""
        while not (self._is_over or self._has_room(size_bytes, WAITING_SHARE)):
            self._taken.clear()
            await self._taken.wait()

    def append(self, pcm: bytes) -> None:
        """Queue the caller's audio: one message a frame, the least delay."""
        event = protocol.append(pcm)
        if self._writes_now:
            self._write_now(event)
        else:
            self.send(event)

    def append_silence(self, samples: int) -> None:
        """Queue silence."""
        self.send(protocol.append_silence(samples))

    def _has_room(self, size_bytes: int, share: int) -> bool:
        """Return whether a share of the queue, or an empty one, takes one more."""
        return not self._queue or (
            len(self._queue) < MAX_QUEUED_MESSAGES // share
            and self._queued_bytes + size_bytes <= MAX_QUEUED_BYTES // share
        )

    async def _connect(self) -> _WebSocket:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await self._http.ws_connect(
                    self._url,
                    headers=self._headers,
                    autoping=False,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
                    max_msg_size=MAX_MESSAGE_BYTES,
                    compress=0,
                    decode_text=False,
                )
        except aiohttp.WSServerHandshakeError as error:
            raise _refused(error) from error
        except TimeoutError as error:
            raise UpstreamRefused(
                "upstream_unavailable", "The Realtime API does not answer."
            ) from error
        except aiohttp.ClientError as error:
            raise UpstreamRefused(
                "upstream_unavailable", "The Realtime API cannot be reached."
            ) from error

    async def _read(self, websocket: _WebSocket, receiver: Receiver) -> None:
        while True:
            message = await websocket.receive()
            self._is_silent = False
            match message.type:
                case WSMsgType.TEXT:
                    self._take(message.data, receiver)
                case WSMsgType.PING:
                    with contextlib.suppress(ConnectionError):  # as comes next
                        await websocket.pong(message.data)
                case WSMsgType.PONG:
                    pass
                case WSMsgType.BINARY:
                    raise UpstreamLost(
                        "upstream_protocol", "The Realtime API sent a binary message."
                    )
                case WSMsgType.ERROR:
                    raise _failed(message.data)
                case _:
                    reason = message.extra or ""
                    if self._key:
                        reason = reason.replace(self._key, _KEY.decode())
                    raise _closed(websocket.close_code, reason)

    def _take(self, text: bytes, receiver: Receiver) -> None:
        """Give the session an event; audio that it plays is parsed no more than needed.

        HOT PATH.
        """
        has_media = receiver.has_media
        if has_media and (delta := self._deltas.read(text)) is not None:
            receiver.upstream_event(delta, text)
            return
        if self._key_bytes and self._key_bytes in text:  # a client must not see it
            text = text.replace(self._key_bytes, _KEY)
        event = protocol.read_upstream(text, has_media=has_media)
        if type(event) is AudioDelta:
            self._deltas.learn(text, event)
        receiver.upstream_event(event, text)

    def _write_now(self, payload: bytes) -> None:
        """Send at once what can be: no task has to wake for it.

        The coroutine of a send ends at its first step, unless the peer reads too
        slowly; then the writer waits for its end.
        """
        assert self._websocket is not None
        sending = self._websocket.send_frame(payload, _TEXT)
        try:
            waits_for = sending.send(None)
        except StopIteration:
            return
        except ConnectionError:
            self._writes_now = False  # the reader says why
            return
        self._writes_now = False
        self._sending = _rest_of(sending, waits_for)
        self._wake.set()

    async def _write(self, websocket: _WebSocket) -> None:
        """Send what could not be sent at once."""
        queue = self._queue
        self._websocket = websocket
        try:
            while True:
                if self._sending is not None:
                    sending, self._sending = self._sending, None
                    await sending
                while queue:
                    payload = queue.popleft()
                    self._queued_bytes -= len(payload)
                    self._taken.set()
                    await websocket.send_frame(payload, _TEXT)
                self._writes_now = True
                self._wake.clear()
                await self._wake.wait()
        except ConnectionError:
            return  # the reader says why
        finally:
            self._writes_now = False

    async def _ping_if_silent(self, websocket: _WebSocket) -> None:
        """Notice a peer that is gone without a word.

        One look in 5 s; aiohttp's own heartbeat moves a timer with each message.
        """
        while True:
            self._is_silent = True
            await asyncio.sleep(PONG_S)
            if not self._is_silent:
                continue
            try:
                async with asyncio.timeout(PONG_S):
                    await websocket.ping()
                    await asyncio.Event().wait()
            except ConnectionError:
                return  # the reader says why
            except TimeoutError:
                if self._is_silent:
                    raise UpstreamLost(
                        "upstream_lost", "The Realtime API stopped answering."
                    ) from None

    async def _watch(self) -> None:
        """Tell of a full queue at once: the writer may be stuck in a send."""
        await self._overrun.wait()
        raise UpstreamLost("upstream_stalled", "The Realtime API does not keep up.")


@types.coroutine
def _rest_of(
    sending: Coroutine[Any, Any, None], waits_for: Any
) -> Generator[Any, Any, None]:
    """Wait for the end of a coroutine that has taken its first step already.

    Args:
        sending: The coroutine.
        waits_for: What that step has yielded.
    """
    try:
        yield waits_for
        yield from sending
    finally:
        sending.close()


def _refused(error: aiohttp.WSServerHandshakeError) -> UpstreamRefused:
    code, text = _REFUSALS.get(
        error.status, ("upstream_unavailable", "The Realtime API cannot serve")
    )
    text += f" (HTTP {error.status})."
    if error.headers and (after_s := error.headers.get("Retry-After")):
        text += f" Retry after {after_s[:16]} s."
    refused = UpstreamRefused(code, text)
    if error.status in _BUSY:
        refused.close_code = _TRY_AGAIN_LATER
    return refused


def _failed(cause: object) -> UpstreamLost:
    if isinstance(cause, aiohttp.WebSocketError):
        if cause.code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
            return UpstreamLost(
                "upstream_message_too_large",
                f"The Realtime API sent a message of over {MAX_MESSAGE_BYTES} bytes.",
            )
        return UpstreamLost("upstream_protocol", "The Realtime API broke WebSocket.")
    return UpstreamLost("upstream_lost", "The connection to the Realtime API broke.")


def _closed(code: int | None, reason: str) -> UpstreamError:
    if code == _REFUSED_BY_CLOSING and reason == _WRONG_KEY:
        _, text = _REFUSALS[401]
        return UpstreamRefused("upstream_unauthorized", f"{text} (close code {code}).")
    lost = UpstreamLost(
        "upstream_lost", f"The Realtime API closed the session ({code})."
    )
    lost.close_reason = reason or None
    if code in _OWN_CLOSES:
        lost.close_code = code
    return lost
