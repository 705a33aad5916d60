"""The session of a WebSocket client: its events pass both ways, as they come.

The client plays the model's audio and truncates it by itself, so there is no clock and
no turn here. Its audio has the format that it asks for. What it sends before the
upstream is open, or faster than the upstream takes it, waits in the upstream's queue;
when that is full the client's connection is read no further until there is room, so
nothing is lost and a client that is merely quick is not failed.

When the relay ends the session, the client gets an `error` event that says why where
there is one to tell, then a close code (RFC 6455 section 7.4.1):

    1001   its time is up, or the relay is shutting down: connect again
    1008   it sends what is refused, and nothing else
    1011   the upstream refused it, or was lost
    1013   the upstream takes no more sessions now
    3000 to 4999   the upstream itself closed with that code
"""

import asyncio
import functools
from collections.abc import Mapping
from typing import Final

from proto.errors import CloseCode
from proto.request import SessionRequest
from relay import errors
from relay.client.bound import Bound
from relay.client.intake import (
    FLOOD_REASON,
    ClearPlayback,
    Flood,
    Forward,
    Intake,
    Refused,
)
from relay.client.limits import Limits
from relay.client.outlet import Outlet
from relay.door import ClientEnd
from relay.inlet import Inlet
from relay.life import Life
from relay.metrics import Queues, Traffic
from relay.opening import first_updates
from relay.upstream import protocol
from relay.upstream.events import EventIds, UpstreamEvent
from relay.upstream.port import Upstream, UpstreamError, UpstreamRefused
from runtime.traces import Steps

NORMAL_CLOSURE: Final = 1000
GOING_AWAY: Final = 1001
POLICY_VIOLATION: Final = 1008
INTERNAL_ERROR: Final = 1011

_CLOSES: Final[Mapping[CloseCode, int]] = {
    CloseCode.NORMAL: NORMAL_CLOSURE,
    CloseCode.DRAINING: GOING_AWAY,
    CloseCode.TIMEOUT: GOING_AWAY,
}
"""As which a session's end appears to its client; any other is an internal error."""


class DirectSession:
    """One WebSocket client, as the relay has it; a `Conversation` for the door.

    Args:
        request: What it wishes; sessions in GA shape.
        upstream: Its own.
        max_s: Seconds that it may last.
        trace: Tells of it.
    """

    transport = "websocket"
    has_media = False
    frame_counts = None

    def __init__(
        self,
        request: SessionRequest,
        upstream: Upstream,
        max_s: float,
        trace: Steps | None = None,
    ) -> None:
        self.request = request
        self.traffic = Traffic()
        fields = {"call": request.call_id}
        self.life = Life(max_s, fields, trace)
        self._upstream = upstream
        self._client: ClientEnd | None = None
        self._ids = EventIds()
        self._intake = Intake(
            limits=Limits(),
            bound=Bound(request.bound),
            speaks_beta=request.speaks_beta,
            has_media=False,
        )
        self._outlet = Outlet(speaks_beta=request.speaks_beta, max_event_bytes=None)
        updates = first_updates(request, protocol.direct_update)
        self._inlet = Inlet(
            updates=len(updates),
            locks=request.bound is not None,
            traffic=self.traffic,
            deliver=self._deliver,
            fields=fields,
        )
        for update in updates:
            upstream.send(update)

    @property
    def queues(self) -> Queues:
        """What waits."""
        return Queues(self._upstream.waiting, 0)

    async def run(self, client: ClientEnd) -> None:
        """Hold the conversation until either side ends it."""
        self._client = client
        converse = functools.partial(self._upstream.run, self)
        try:
            await self.life.last(converse, self._listen, expired=self._expire)
            if self.life.failure:
                self._upstream_failed(self.life.failure)
        finally:
            self._inlet.close()

    def close(self, code: CloseCode, reason: str) -> None:
        """End the session from this side."""
        self._end(code, reason, _CLOSES.get(code, INTERNAL_ERROR))

    # From the upstream.

    def upstream_connected(self) -> None:
        """The upstream has taken the session."""
        self.life.connected()
        self._inlet.connected()

    def upstream_event(self, event: UpstreamEvent, message: bytes) -> None:
        """Pass an event on."""
        self._inlet.take(event, message)

    async def _listen(self, tasks: asyncio.TaskGroup) -> None:
        del tasks  # none needed
        assert self._client is not None
        loop = asyncio.get_running_loop()
        while (payload := await self._client.receive()) is not None:
            self.traffic.events_up += 1
            match self._intake.read(payload, loop.time()):
                case Forward(payload=forwarded):
                    await self._upstream.room(len(forwarded))
                    self._upstream.send(forwarded)
                case Refused() as refusal:
                    self.traffic.events_refused += 1
                    self._tell(errors.refused(self._ids.next(), refusal))
                case Flood():
                    self._end(CloseCode.PROTOCOL, FLOOD_REASON, POLICY_VIOLATION)
                case ClearPlayback():
                    raise AssertionError("a client without media has none to clear")
        self.life.end(CloseCode.NORMAL, "the client left")

    def _upstream_failed(self, error: UpstreamError) -> None:
        self._inlet.give_up()
        self._tell(errors.failed(self._ids.next(), error))
        refused = isinstance(error, UpstreamRefused)
        code = CloseCode.REFUSED_UPSTREAM if refused else CloseCode.UPSTREAM_LOST
        self._end(
            code,
            error.message,
            error.close_code or INTERNAL_ERROR,
            told=error.close_reason,
        )

    def _expire(self) -> None:
        reason = self.life.expiry_reason
        self._tell(errors.expired(self._ids.next(), reason))
        self.close(CloseCode.TIMEOUT, reason)

    def _end(
        self, code: CloseCode, reason: str, close_code: int, told: str | None = None
    ) -> None:
        """End it; the client may be told a reason of the upstream's own."""
        if self.life.end(code, reason) and self._client is not None:
            self._client.close(close_code, told or reason)

    def _deliver(self, message: bytes, caused_by: str | None) -> None:
        del caused_by  # there is but one client
        self._tell(message)

    def _tell(self, message: bytes) -> None:
        assert self._client is not None
        for payload in self._outlet.shape(message):
            self._client.send(payload)
            self.traffic.events_down += 1
