"""A Realtime API over its WebSocket: the shell around `protocol` (GA only).

What goes wrong becomes an `UpstreamError` that says so in words: handshakes refused,
closes, messages too large, a peer that stops answering or reading. There is no retry
here: a session that loses its upstream ends.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping

from aiohttp import encode_basic_auth
from yarl import URL

from relay.upstream import ends, protocol
from relay.upstream.connection import Connection
from relay.upstream.deltas import Deltas
from relay.upstream.events import AudioDelta
from relay.upstream.names import Names
from relay.upstream.port import Receiver, UpstreamError

HEARTBEAT_S = 10.0
"""Seconds of silence after which a ping has been sent, at the latest."""

PONG_S = HEARTBEAT_S / 2
"""Seconds for the answer, or for anything else. So often is looked whether anything
came."""

MAX_QUEUED_MESSAGES = 1024
"""20 s of audio: twice the longest connect."""

MAX_QUEUED_BYTES = 16 * 1024 * 1024
"""Of events, which may carry images."""

WAITING_SHARE = 2
"""Who can wait has the queue's first half: the other is for a call's audio, which
cannot."""

_USER_AGENT = "tandem-voice"

_KEY = b"[key]"
"""Stands for the relay's key where the service quotes it."""


class RealtimeClient:
    """One session on a Realtime WebSocket.

    What is sent before the connection is up, or faster than the peer reads, waits in a
    queue of 1,024 messages and 16 MiB, or one larger message. When it is full nothing
    is dropped, since the upstream would mishear: the connection counts as lost. Who can
    wait asks for `room` first, and never fills more than half of it.

    Args:
        url: ws:// or wss://.
        key: Bearer token; empty: the URL's user and password are sent, if it has them.
        query: Added to the URL, where it does not say otherwise itself.
        tls: Whom wss:// trusts.
        names: Know where it is.
    """

    is_live = False

    def __init__(
        self,
        url: str,
        key: str,
        query: Mapping[str, str],
        tls: ssl.SSLContext,
        names: Names,
    ) -> None:
        own = URL(url)
        asked = own.update_query(query).update_query(own.query)
        self._url = str(asked.with_user(None).with_fragment(None))
        self._tls = tls
        self._key = key.encode()
        self._headers = {"User-Agent": _USER_AGENT}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        elif own.user is not None:
            shown = encode_basic_auth(own.user, own.password or "")
            self._headers["Authorization"] = shown
        self._connection = Connection(self, names)
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._taken = asyncio.Event()
        self._is_over = False
        self._deltas = Deltas()
        self._receiver: Receiver | None = None

    async def run(self, receiver: Receiver, tasks: asyncio.TaskGroup) -> None:
        """Connect, then converse until cancelled; see `Upstream.run`."""
        self._receiver = receiver
        connection = self._connection
        try:
            await connection.open(self._url, self._headers, self._tls)
            pinging = tasks.create_task(self._ping_if_silent())
            try:
                await connection.failed()
            finally:
                pinging.cancel()
        finally:
            self._is_over = True
            self._taken.set()
            try:
                await connection.close()
            finally:
                self._receiver = None

    def send(self, payload: bytes) -> None:
        """Send an event now, or queue it. HOT PATH."""
        if self._connection.is_writable:
            self._connection.send(payload)
        elif self._has_room(len(payload), share=1):
            self._queue.append(payload)
            self._queued_bytes += len(payload)
        else:
            self._connection.fail(ends.stalled())

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
        """Send the caller's audio: one message a frame, the least delay."""
        self.send(protocol.append(pcm))

    def append_silence(self, samples: int) -> None:
        """Send silence."""
        self.send(protocol.append_silence(samples))

    # From the connection.

    def connected(self) -> None:
        """Tell the session; what it has sent so far follows."""
        assert self._receiver is not None
        self._receiver.upstream_connected()

    def message_received(self, text: bytes) -> None:
        """Give the session an event; audio that it plays is parsed no more than needed.

        HOT PATH.
        """
        receiver = self._receiver
        assert receiver is not None
        has_media = receiver.has_media
        if has_media and (delta := self._deltas.read(text)) is not None:
            receiver.upstream_event(delta, text)
            return
        if self._key and self._key in text:  # a client must not see it
            text = text.replace(self._key, _KEY)
        event = protocol.read_upstream(text, has_media=has_media)
        if type(event) is AudioDelta:
            self._deltas.learn(text, event)
        receiver.upstream_event(event, text)

    def peer_closed(self, code: int, reason: str) -> UpstreamError:
        """Return what that means, without the key."""
        if self._key:
            reason = reason.replace(self._key.decode(), _KEY.decode())
        return ends.closed(code, reason)

    def drained(self) -> None:
        """Send what waits, for as long as the peer reads."""
        queue, connection = self._queue, self._connection
        while queue and connection.is_writable:
            payload = queue.popleft()
            self._queued_bytes -= len(payload)
            connection.send(payload)
        self._taken.set()

    def _has_room(self, size_bytes: int, share: int) -> bool:
        """Return whether a share of the queue, or an empty one, takes one more."""
        return not self._queue or (
            len(self._queue) < MAX_QUEUED_MESSAGES // share
            and self._queued_bytes + size_bytes <= MAX_QUEUED_BYTES // share
        )

    async def _ping_if_silent(self) -> None:
        """Notice a peer that is gone without a word: one look in 5 s."""
        connection = self._connection
        while True:
            connection.is_silent = True
            await asyncio.sleep(PONG_S)
            if not connection.is_silent:
                continue
            connection.ping()
            await asyncio.sleep(PONG_S)
            if connection.is_silent:
                connection.fail(ends.silent())
                return
