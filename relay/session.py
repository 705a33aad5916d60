"""One WebRTC call: its end of the link, its upstream, and the servers attached to it.

The session is accepted as soon as it is asked for, while the upstream still connects:
events and the caller's first words wait in the upstream's queue, and call set-up does
not wait for a third party. If the upstream then refuses, the client gets an `error`
event that says why, and the session closes with REFUSED_UPSTREAM; if it is lost later,
the same with UPSTREAM_LOST.

Everything here is called in the loop, by the link, the upstream or a sideband. What a
client may do is decided by `Intake`, what audio entails by `Media`.
"""

import asyncio
import functools
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from proto.errors import Backlogged, CloseCode, LocalError, NotConnected
from proto.frames import DownFrame, UpFrame
from proto.messages import MAX_MESSAGE_BYTES
from proto.payload import Payload
from proto.request import SessionRequest
from proto.stats import FrameCounts
from relay import errors
from relay.audience import Audience, Listener
from relay.carriage import chosen
from relay.client.bound import Bound
from relay.client.intake import (
    FLOOD_REASON,
    ClearPlayback,
    ClientEvent,
    Flood,
    Forward,
    Intake,
    Refused,
)
from relay.client.limits import Limits
from relay.client.outlet import Outlet
from relay.inlet import Inlet
from relay.life import Life
from relay.media import Media, MediaLink, Owner
from relay.metrics import Queues, Traffic
from relay.opening import first_updates
from relay.pacer import Clock
from relay.sight import Sight
from relay.upstream import events, protocol
from relay.upstream.events import EventIds, UpstreamEvent
from relay.upstream.port import Upstream, UpstreamError, UpstreamRefused
from runtime.traces import Steps

log = logging.getLogger(__name__)


class LinkEnd(MediaLink, Protocol):
    """What a session uses of its end of the link."""

    id: int

    @property
    def offered(self) -> tuple[Payload, ...]:
        """What its audio may be carried as, the best first."""

    def accept(self, payload: Payload = Payload.PCM) -> None:
        """Let the edge know that the session is open, and what carries its audio."""

    def send_event(self, payload: bytes) -> None:
        """Send an event to the client; raises LocalError."""

    @property
    def frame_counts(self) -> FrameCounts:
        """What became of its audio frames."""

    def close(self, code: CloseCode = CloseCode.NORMAL, reason: str = "") -> None:
        """End the session."""


class Session:
    """One call, as the relay has it.

    Args:
        link: Its end of the link.
        request: What its client wishes; sessions in GA shape.
        upstream: Its own.
        clock: Sends the audio of all sessions.
        max_s: Seconds that it may last.
        trace: Tells of it.
    """

    transport = "webrtc"
    has_media = True

    def __init__(
        self,
        link: LinkEnd,
        request: SessionRequest,
        upstream: Upstream,
        clock: Clock,
        max_s: float,
        trace: Steps | None = None,
    ) -> None:
        self.request = request
        self.bound = Bound(request.bound)
        self.ids = EventIds()
        self._payload = chosen(link.offered)
        fields = {
            "call": request.call_id,
            "session": link.id,
            "payload": self._payload.name.lower(),
        }
        self.life = Life(max_s, fields, trace)
        self._traffic = Traffic()
        self._link = link
        self._upstream = upstream
        self._loop = asyncio.get_running_loop()
        self.audience = Audience(self._tell_client)
        self._media = Media(
            link,
            upstream,
            clock,
            self.ids,
            Owner(tell=self.audience.tell, failed=self._media_failed),
            self._payload,
        )
        self.frame_received = self._media.frame_received  # type: ignore[method-assign]  # spares a call per frame
        self._intake = Intake(
            limits=Limits(),
            bound=self.bound,
            speaks_beta=request.speaks_beta,
            has_media=True,
        )
        self._outlet = Outlet(
            speaks_beta=request.speaks_beta,
            max_event_bytes=min(
                request.max_event_bytes or MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES
            ),
            has_media=True,
        )
        updates = first_updates(request, protocol.media_update)
        self._inlet = Inlet(
            updates=len(updates),
            locks=request.bound is not None,
            traffic=self._traffic,
            deliver=self._deliver,
            fields=fields,
        )
        for update in updates:  # before any event of the client's: see `opening`
            upstream.send(update)

    def watched_by(self, sight: Sight) -> None:
        """Have delays measured."""
        self._media.watched_by(sight)

    @property
    def queues(self) -> Queues:
        """What waits."""
        return Queues(self._upstream.waiting, self._media.waiting_frames)

    @property
    def frame_counts(self) -> FrameCounts | None:
        """What became of its audio frames on the link."""
        return self._link.frame_counts

    @property
    def traffic(self) -> Traffic:
        """What has passed through so far."""
        total = Traffic()
        total.add(self._traffic)
        total.add(self._media.traffic())
        return total

    @property
    def session(self) -> Mapping[str, Any] | None:
        """The session object that holds now; None: the client does not know it yet."""
        return self._inlet.session if self._inlet.has_told else None

    async def run(self) -> None:
        """Hold the conversation until either side ends it."""
        if not self.life.is_over:
            self._link.accept(self._payload)
        try:
            converse = functools.partial(self._upstream.run, self)
            await self.life.last(converse, expired=self._expire)
            if self.life.failure:
                self._upstream_failed(self.life.failure)
        finally:
            self._media.close()
            self._inlet.close()
            self.audience.dismiss(self.life.reason or "the call has ended")

    def close(self, code: CloseCode, reason: str) -> None:
        """End the session from this side."""
        if self.life.end(code, reason):
            self._link.close(code, reason)

    async def room(self, size_bytes: int) -> None:
        """Wait until the upstream's queue takes an event of that size."""
        await self._upstream.room(size_bytes)

    def take(self, event: ClientEvent, sender: Listener | None) -> None:
        """Do what the client or an attached server asks.

        Args:
            event: As its intake has read it.
            sender: The server; None: the client.
        """
        self._traffic.events_up += 1
        match event:
            case Forward(payload, event_id):
                self.audience.has_sent(event_id, sender)
                self._upstream.send(payload)
            case ClearPlayback():
                self._media.clear()
            case Refused() as refusal:
                self._traffic.events_refused += 1
                tell = sender.tell if sender else self._tell_client
                tell(errors.refused(self.ids.next(), refusal))

    # From the link.

    def opened(self) -> None:
        """Nothing: the edge's business."""

    def event_received(self, payload: bytes) -> None:
        """Take a client's event."""
        event = self._intake.read(payload, self._loop.time())
        if isinstance(event, Flood):
            self.close(CloseCode.PROTOCOL, FLOOD_REASON)
        else:
            self.take(event, sender=None)

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        """Take the caller's audio: replaced by the media's own method."""

    def frames_lost(self, count: int) -> None:
        """Take note of audio that will not come."""
        self._media.frames_lost(count)

    def flush_requested(self, talkspurt: int) -> None:
        """Nothing: the edge's business."""

    def flush_done(self, talkspurt: int, heard_samples: int) -> None:
        """Take what the caller heard before the edge fell silent."""
        self._media.flush_done(talkspurt, heard_samples)

    def closed(self, code: CloseCode, reason: str) -> None:
        """End: the edge closed the session, or the link is lost."""
        self.life.end(code, reason)

    # From the upstream.

    def upstream_connected(self) -> None:
        """The upstream has taken the session."""
        self.life.connected()
        self._inlet.connected()

    def upstream_event(self, event: UpstreamEvent, message: bytes) -> None:
        """Pass an event on and act on it; audio goes by the clock."""
        if type(event) is events.AudioDelta:
            self._media.play(event)
            return
        self._inlet.take(event, message)
        self._media.follow(event)

    def _deliver(self, message: bytes, caused_by: str | None) -> None:
        if caused_by is not None and self.audience.sender_of(caused_by):
            self.bound.forget(caused_by)
        self.audience.tell(message, caused_by)

    def _expire(self) -> None:
        reason = self.life.expiry_reason
        self.audience.tell(errors.expired(self.ids.next(), reason))
        self.close(CloseCode.TIMEOUT, reason)

    def _media_failed(self, error: Exception) -> None:
        log.error("audio failed", exc_info=error, extra=self.life.fields)
        self.close(CloseCode.INTERNAL, "internal error")

    def _upstream_failed(self, error: UpstreamError) -> None:
        self._inlet.give_up()
        self.audience.tell(errors.failed(self.ids.next(), error))
        refused = isinstance(error, UpstreamRefused)
        code = CloseCode.REFUSED_UPSTREAM if refused else CloseCode.UPSTREAM_LOST
        self.close(code, error.message)

    def _tell_client(self, message: bytes) -> None:
        for payload in self._outlet.shape(message):
            self._send(payload)

    def _send(self, payload: bytes) -> None:
        try:
            self._link.send_event(payload)
        except Backlogged:
            self.close(CloseCode.TIMEOUT, "the client takes events too slowly")
        except NotConnected:
            self._traffic.events_undelivered += 1  # closed() comes, or has come
        except LocalError:
            self._traffic.events_undelivered += 1
            log.warning(
                "event cannot cross the link",
                extra={"call": self.request.call_id, "bytes": len(payload)},
            )
        else:
            self._traffic.events_down += 1
