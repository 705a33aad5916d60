"""The two voices of one call: the caller's to the upstream, the model's to the edge.

Everything here is called in the loop, by the link, the upstream or the clock. What a
voice entails is decided by `Turn`; this carries it out.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from proto.errors import NotConnected
from proto.frames import SAMPLE_BYTES, DownFrame, UpFrame
from proto.payload import Payload
from relay.carriage import carriage
from relay.metrics import Traffic
from relay.nobody import nobody
from relay.pacer import LEAD_S, LIVE_LEAD_S, Clock, Downlink
from relay.sight import Sight
from relay.silence import Uplink
from relay.turn import Command, FlushEdge, ToClient, ToUpstream, Turn
from relay.upstream import events
from relay.upstream.events import EventIds, UpstreamEvent
from relay.upstream.port import Upstream


class MediaLink(Protocol):
    """What the voices use of a session's end of the link."""

    def send_down(self, frame: DownFrame) -> None:
        """Send audio to the caller, or drop it."""

    def flush(self, talkspurt: int) -> None:
        """Have the edge drop audio."""


class Owner(NamedTuple):
    """What the session does for its media."""

    tell: Callable[[bytes], None]
    """Gives the client an event."""
    failed: Callable[[Exception], None]
    """A voice is broken: end."""


class Media:
    """Audio both ways, and the turns between."""

    __slots__ = (
        "_clock",
        "_downlink",
        "_hearing",
        "_is_closed",
        "_is_pcm",
        "_link",
        "_loop",
        "_owner",
        "_rings_at_s",
        "_sight",
        "_stopped_at",
        "_timer",
        "_traffic",
        "_turn",
        "_uplink",
        "_upstream",
    )

    def __init__(
        self,
        link: MediaLink,
        upstream: Upstream,
        clock: Clock,
        ids: EventIds,
        owner: Owner,
        payload: Payload = Payload.PCM,
    ) -> None:
        self._link = link
        self._upstream = upstream
        self._clock = clock
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._rings_at_s = math.inf
        self._is_closed = False
        self._uplink = Uplink(clock.silence, upstream.append_silence, owner.failed)
        self._traffic = Traffic()
        self._turn = Turn(ids)
        self._is_pcm = payload is Payload.PCM
        self._hearing, send = carriage(payload, link.send_down)
        self._downlink = Downlink(
            self._turn.speech,
            LIVE_LEAD_S if upstream.is_live else LEAD_S,
            send=send,
            on_sent=self._frames_sent,
            on_failed=owner.failed,
        )
        self._sight = Sight()
        self._stopped_at: float | None = None
        """When the caller had spoken, until the answer is heard."""

    def watched_by(self, sight: Sight) -> None:
        """Have delays measured."""
        self._sight = sight

    @property
    def waiting_frames(self) -> int:
        """The model's, not sent yet."""
        return len(self._turn.speech.waiting)

    def traffic(self) -> Traffic:
        """Return what has passed through so far."""
        self._traffic.filled_samples = self._uplink.filled_samples
        self._traffic.frames_down = self._downlink.sent_frames
        self._traffic.barge_ins = self._turn.interruptions
        self._traffic.unheard_samples = self._turn.unheard_samples
        self._traffic.dropped_samples = self._turn.speech.dropped_samples
        made_up = self._hearing.made_up
        self._traffic.packets_recovered = made_up.recovered
        self._traffic.packets_concealed = made_up.concealed
        self._traffic.packets_corrupt = made_up.corrupt
        return self._traffic

    # From the link.

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        """Take the caller's audio, and how far the caller has heard. HOT PATH."""
        assert type(frame) is UpFrame
        self._traffic.frames_up += 1
        timed = self._sight.uplink
        timed.begin(0)
        now = self._loop.time()
        uplink, upstream = self._uplink, self._upstream
        if self._is_pcm:  # as the loop below would
            pcm = frame.payload
            uplink.take(frame.position_samples, len(pcm) // SAMPLE_BYTES, now)
            upstream.append(pcm)
        else:
            head_samples = uplink.timeline.head_samples
            for position, pcm in self._hearing.take(frame, head_samples):
                uplink.take(position, len(pcm) // SAMPLE_BYTES, now)
                upstream.append(pcm)
        if timed.key is not None:
            timed.end()
        commands = self._turn.heard(frame.heard_talkspurt, frame.heard_samples, now)
        due_s = self._turn.played_by_s
        if commands or (due_s is not None and due_s < self._rings_at_s):
            self._carry_out(commands)

    def frames_lost(self, count: int) -> None:
        """Take note of frames that will not come."""
        self._traffic.frames_lost += count
        self._hearing.lost()

    def flush_done(self, talkspurt: int, heard_samples: int) -> None:
        """Take what the caller heard before the edge fell silent."""
        self._carry_out(self._turn.flush_done(talkspurt, heard_samples))

    def clear(self) -> None:
        """Silence the model because a client asks for it."""
        self._carry_out(self._turn.clear_requested(self._loop.time()))

    # From the upstream.

    def play(self, delta: events.AudioDelta) -> None:
        """Say it, by the clock."""
        timed, sent_frames = self._sight.downlink, self._downlink.sent_frames
        speech = self._turn.speech
        is_waiting = bool(speech.waiting)
        if not is_waiting and speech.is_drained:  # else it waits, which is no delay
            timed.begin(sent_frames)
        if commands := self._turn.audio(delta, self._loop.time()):
            self._carry_out(commands)
        if is_waiting:  # for the clock, and this behind it
            return
        self._clock.wake(self._downlink)
        if timed.key == sent_frames != self._downlink.sent_frames:
            timed.end()

    def follow(self, event: UpstreamEvent) -> None:
        """Act on an event that the client has been given."""
        now = self._loop.time()
        match event:
            case events.SessionConfigured():
                if "audio" in event.session:
                    awaits = awaits_idleness(event.session)
                    self._uplink.expect_idleness(to_be_noticed=awaits)
                self._carry_out(self._turn.configured(event))
            case events.ResponseCreated():
                self._carry_out(self._turn.response_created(event, now))
            case events.SpeechStarted():
                self._uplink.speech_started()
                self._stopped_at = None
                self._carry_out(self._turn.speech_started(now))
            case events.SpeechStopped():
                self._stopped_at = now
            case events.AudioBegan():
                self._turn.audio_began(event)
            case events.AudioDone():
                self._carry_out(self._turn.audio_done(event))
                self._clock.wake(self._downlink)
            case events.ResponseDone():
                self._carry_out(self._turn.response_done(event, now))
                self._clock.wake(self._downlink)
            case _:
                pass
        if self._sight.turns is not None:
            self._sight.turns.take(event, self._turn, self._downlink.sent_frames)

    def close(self) -> None:
        """Fall silent for good."""
        self._is_closed = True
        self._clock.remove(self._downlink)
        self._downlink.close()
        self._uplink.close()
        self._owner = Owner(nobody, nobody)
        if self._sight.turns is not None:
            self._sight.turns.close(self._turn, self._downlink.sent_frames)
        if self._timer:
            self._timer.cancel()

    # From the clock.

    def _frames_sent(self, now: float) -> None:
        if self._stopped_at is not None:
            self._sight.answered(now - self._stopped_at)
            self._stopped_at = None
        turn = self._turn
        commands = turn.frames_sent(self._downlink.end_s, now)
        if commands or not turn.speech.waiting:  # else nothing new can be due
            self._carry_out(commands)

    def _time_out(self) -> None:
        now = max(self._loop.time(), self._rings_at_s)  # it may ring a bit early
        self._timer, self._rings_at_s = None, math.inf
        self._carry_out(self._turn.handle_timeout(now))

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case FlushEdge(talkspurt):
                    with contextlib.suppress(NotConnected):  # the edge is silent then
                        self._link.flush(talkspurt)
                case ToUpstream(payload):
                    self._upstream.send(payload)
                case ToClient(payload):
                    self._owner.tell(payload)
        if commands and self._sight.turns is not None:
            self._sight.turns.follow(self._turn, self._downlink.sent_frames)
        due_s = self._turn.next_timeout()
        if due_s is not None and not self._is_closed:
            self._wake_by(due_s)

    def _wake_by(self, due_s: float) -> None:
        """Have the turn's timeout handled; a timer that is early sets itself anew.

        So a deadline that moves on with each frame costs no timer each.
        """
        if self._rings_at_s <= due_s:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at_s = due_s  # of a time that has come uvloop's handle knows none
        self._timer = self._loop.call_at(due_s, self._time_out)


def awaits_idleness(session: Mapping[str, Any]) -> bool:
    """Return whether turn detection has an idle timeout (`idle_timeout_ms`)."""
    match session:
        case {"audio": {"input": {"turn_detection": {"idle_timeout_ms": int()}}}}:
            return True
        case _:
            return False
