"""One session: its end of the link, its upstream, its turns.

The session is accepted as soon as it is asked for, while the upstream still connects:
events and the caller's first words wait in the upstream's queue, and call set-up does
not wait for a third party. If the upstream then refuses, the client gets an `error`
event that says why, and the session closes with REFUSED_UPSTREAM; if it is lost later,
the same with UPSTREAM_LOST.

Everything here is called in the loop, by the link, the upstream or the clock. Decisions
are taken by `Turn`; this carries them out.
"""

import asyncio
import contextlib
import logging
from typing import Protocol

from proto.errors import Backlogged, CloseCode, LocalError, NotConnected
from proto.frames import SAMPLE_BYTES, DownFrame, UpFrame
from relay import opening
from relay.metrics import Traffic
from relay.pacer import LEAD_S, LIVE_LEAD_S, Clock, Downlink
from relay.request import SessionRequest
from relay.timeline import Timeline
from relay.turn import Command, FlushEdge, ToClient, ToUpstream, Turn
from relay.upstream import events, protocol
from relay.upstream.events import EventIds, UpstreamEvent
from relay.upstream.port import Upstream, UpstreamError, UpstreamRefused

log = logging.getLogger(__name__)


class LinkEnd(Protocol):
    """What a session uses of its end of the link."""

    id: int

    def accept(self) -> None:
        """Let the edge know that the session is open."""

    def send_event(self, payload: bytes) -> None:
        """Send an event to the client; raises LocalError."""

    def send_down(self, frame: DownFrame) -> None:
        """Send audio to the caller, or drop it."""

    def flush(self, talkspurt: int) -> None:
        """Have the edge drop audio."""

    def close(self, code: CloseCode = CloseCode.NORMAL, reason: str = "") -> None:
        """End the session."""


class Session:
    """One call, as the relay has it."""

    def __init__(
        self, link: LinkEnd, request: SessionRequest, upstream: Upstream, clock: Clock
    ) -> None:
        self.close_code = CloseCode.NORMAL
        self.close_reason = ""
        self.upstream_error: UpstreamError | None = None
        self._traffic = Traffic()
        self._link = link
        self._request = request
        self._upstream = upstream
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._ids = EventIds()
        self._timeline = Timeline()
        self._turn = Turn(self._ids)
        self._downlink = Downlink(
            self._turn.speech,
            LIVE_LEAD_S if upstream.is_live else LEAD_S,
            send=link.send_down,
            on_sent=self._frames_sent,
            on_failed=self._downlink_failed,
        )
        self._opening = opening.Opening()
        self._opening_timer: asyncio.TimerHandle | None = None
        # Before any event of the client's: the first answer is taken for this one's.
        upstream.send(protocol.opening_update(request.session))

    @property
    def traffic(self) -> Traffic:
        """What has passed through so far."""
        self._traffic.frames_down = self._downlink.sent_frames
        self._traffic.barge_ins = self._turn.interruptions
        self._traffic.dropped_samples = self._turn.speech.dropped_samples
        return self._traffic

    async def run(self) -> None:
        """Hold the conversation until either side ends it."""
        opened_s = self._loop.time()
        fields = {"call": self._request.call_id, "session": self._link.id}
        log.info("session opened", extra=fields)
        if not self._ended.is_set():
            self._link.accept()
        try:
            async with asyncio.TaskGroup() as tasks:
                conversing = tasks.create_task(self._upstream.run(self, tasks))
                await self._ended.wait()
                conversing.cancel()
        except* UpstreamError as group:
            self._upstream_failed(group.exceptions[0])
        finally:
            self._release()
            duration_s = round(self._loop.time() - opened_s, 3)
            log.info(
                "session closed",
                extra={**fields, "seconds": duration_s, **self._summary()},
            )

    def close(self, code: CloseCode, reason: str) -> None:
        """End the session from this side."""
        if not self._ended.is_set():
            self.close_code, self.close_reason = code, reason
            self._link.close(code, reason)
            self._ended.set()

    # From the link.

    def opened(self) -> None:
        """Nothing: the edge's business."""

    def event_received(self, payload: bytes) -> None:
        """Take a client's event."""
        self._traffic.events_up += 1
        match protocol.read_client(payload):
            case protocol.Forward(forwarded):
                self._upstream.send(forwarded)
            case protocol.ClearPlayback():
                self._carry_out(self._turn.clear_requested(self._loop.time()))
            case protocol.Refused(code, message, event_id):
                self._traffic.events_refused += 1
                kind = "invalid_request_error"
                self._to_client(
                    events.error(self._ids.next(), kind, code, message, event_id)
                )

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        """Take the caller's audio, and how far the caller has heard."""
        assert isinstance(frame, UpFrame)
        self._traffic.frames_up += 1
        samples = len(frame.pcm) // SAMPLE_BYTES
        self._fill(self._timeline.gap_before(frame.position_samples, samples))
        self._upstream.append(frame.pcm)
        now = self._loop.time()
        self._carry_out(
            self._turn.heard(frame.heard_talkspurt, frame.heard_samples, now)
        )

    def frames_lost(self, count: int) -> None:
        """Keep the upstream's time true over frames that will not come."""
        self._traffic.frames_lost += count
        self._fill(self._timeline.lost(count))

    def flush_requested(self, talkspurt: int) -> None:
        """Nothing: the edge's business."""

    def flush_done(self, talkspurt: int, heard_samples: int) -> None:
        """Take what the caller heard before the edge fell silent."""
        self._carry_out(self._turn.flush_done(talkspurt, heard_samples))

    def closed(self, code: CloseCode, reason: str) -> None:
        """End: the edge closed the session, or the link is lost."""
        if not self._ended.is_set():
            self.close_code, self.close_reason = code, reason
            self._ended.set()

    # From the upstream.

    def upstream_connected(self) -> None:
        """The upstream has taken the session."""
        fields = {"call": self._request.call_id, "session": self._link.id}
        log.info("upstream connected", extra=fields)
        self._opening_timer = self._loop.call_later(
            opening.TIMEOUT_S, self._give_up_opening
        )

    def upstream_event(self, event: UpstreamEvent, message: bytes) -> None:
        """Pass an event on and act on it; audio goes by the clock.

        All but the first few pass as the bytes they came in: see `opening`.
        """
        match event:
            case events.AudioDelta():
                self._carry_out(self._turn.audio(event, self._loop.time()))
                self._clock.wake(self._downlink)
            case events.OwnError(code):
                self._traffic.own_errors += 1
                log.debug(
                    "upstream refused an event of the relay's",
                    extra={"call": self._request.call_id, "code": code},
                )
            case events.Malformed():
                self._traffic.events_malformed += 1
            case _:
                for passing in self._opening.take(message):
                    self._to_client(passing)
                self._act_on(event)

    def _give_up_opening(self) -> None:
        for held in self._opening.give_up():
            self._to_client(held)

    def _act_on(self, event: UpstreamEvent) -> None:
        now = self._loop.time()
        match event:
            case events.SessionConfigured():
                self._carry_out(self._turn.configured(event))
            case events.ResponseCreated():
                self._carry_out(self._turn.response_created(event, now))
            case events.SpeechStarted():
                self._carry_out(self._turn.speech_started(now))
            case events.AudioDone():
                self._carry_out(self._turn.audio_done(event))
                self._clock.wake(self._downlink)
            case events.ResponseDone():
                self._carry_out(self._turn.response_done(event, now))
                self._clock.wake(self._downlink)
            case _:
                pass

    # From the clock.

    def _frames_sent(self, now: float) -> None:
        self._carry_out(self._turn.frames_sent(self._downlink.end_s, now))

    def _downlink_failed(self) -> None:
        self.close(CloseCode.INTERNAL, "internal error")

    def _time_out(self) -> None:
        self._timer = None
        self._carry_out(self._turn.handle_timeout(self._loop.time()))

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case FlushEdge(talkspurt):
                    with contextlib.suppress(NotConnected):  # the edge is silent then
                        self._link.flush(talkspurt)
                case ToUpstream(payload):
                    self._upstream.send(payload)
                case ToClient(payload):
                    self._to_client(payload)
        due_s = self._turn.next_timeout()
        if self._timer and self._timer.when() != due_s:
            self._timer.cancel()
            self._timer = None
        if due_s is not None and self._timer is None and not self._ended.is_set():
            self._timer = self._loop.call_at(due_s, self._time_out)

    def _fill(self, samples: int) -> None:
        if samples:
            self._traffic.filled_samples += samples
            self._upstream.append_silence(samples)

    def _to_client(self, payload: bytes) -> None:
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
                extra={"call": self._request.call_id, "bytes": len(payload)},
            )
        else:
            self._traffic.events_down += 1

    def _upstream_failed(self, error: Exception) -> None:
        assert isinstance(error, UpstreamError)
        self.upstream_error = error
        log.warning(
            "upstream failed",
            extra={
                "call": self._request.call_id,
                "code": error.code,
                "what": error.message,
            },
        )
        self._give_up_opening()
        self._to_client(
            events.error(self._ids.next(), "server_error", error.code, error.message)
        )
        refused = isinstance(error, UpstreamRefused)
        code = CloseCode.REFUSED_UPSTREAM if refused else CloseCode.UPSTREAM_LOST
        self.close(code, error.message)

    def _release(self) -> None:
        self._clock.remove(self._downlink)
        for timer in (self._timer, self._opening_timer):
            if timer:
                timer.cancel()
        self._ended.set()

    def _summary(self) -> dict[str, object]:
        traffic = self.traffic
        return {
            "code": self.close_code.name.lower(),
            "reason": self.close_reason,
            "frames_up": traffic.frames_up,
            "frames_down": traffic.frames_down,
            "frames_lost": traffic.frames_lost,
            "events_up": traffic.events_up,
            "events_down": traffic.events_down,
            "barge_ins": traffic.barge_ins,
        }
