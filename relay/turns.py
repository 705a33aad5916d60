"""The turns of one call as spans: how long the answer took, what was heard of it.

    turn   the caller has spoken, or a client asks for a response ► the answer was
           heard, or cut off and settled; the caller speaks on, where none has come
    wait   the first part of it, up to the first sound sent
What happens to a turn is decided by `relay.turn`; here it is only looked at, where
something has happened, never for each frame.
"""

from collections import deque
from dataclasses import dataclass, field

from proto.frames import FRAME_SAMPLES
from relay.turn import State, Turn
from relay.upstream import events
from relay.upstream.events import UpstreamEvent
from runtime.traces import Steps

TURN, WAIT = "turn", "wait"
_SAMPLES_PER_MS = 24


@dataclass(slots=True)
class _Told:
    """A turn under way.

    Attributes:
        steps: Its span, and the wait.
        after_id: The response that was playing when it began.
        sent_frames: Of the session, when it began; when it was cut off, only its own.
        has_sounded: The wait is over.
        tool_calls: How many there were.
    """

    steps: Steps
    after_id: str | None
    sent_frames: int
    has_sounded: bool = False
    tool_calls: int = 0


@dataclass(slots=True)
class Turns:
    """Tells of one call's turns.

    Attributes:
        session: They are parts of it.
        tool_calls: How many there were in all.
    """

    session: Steps
    tool_calls: int = 0
    _now: _Told | None = None
    _cut: deque[_Told | None] = field(default_factory=deque)
    """Interrupted, oldest first, until settled: as many as `Turn` holds."""
    _interruptions: int = 0

    def take(self, event: UpstreamEvent, turn: Turn, sent_frames: int) -> None:
        """Look at what an upstream's event has done.

        Args:
            event: The event; the turn has taken it.
            turn: The session's.
            sent_frames: How many have been sent in all.
        """
        match event:
            case events.SpeechStarted():
                self.follow(turn, sent_frames)
                if self._now is not None and not self._now.has_sounded:
                    self._finish(self._now, 0)
            case events.SpeechStopped():
                self._begin("caller", turn, sent_frames)
            case events.ResponseCreated(out_of_band=False) if self._now is None:
                self._begin("client", turn, sent_frames)
            case events.ToolCalled():
                self.tool_calls += 1
                if self._now is not None:
                    self._now.tool_calls += 1
            case _:
                pass

    def follow(self, turn: Turn, sent_frames: int) -> None:
        """Look at what has become of the turn under way, and of those before."""
        if turn.interruptions != self._interruptions:
            self._interruptions = turn.interruptions
            self._cut_off(sent_frames)
        while turn.settled:
            unheard_samples = turn.settled.popleft()
            told = self._cut.popleft() if self._cut else None
            if told is not None:
                heard_samples = told.sent_frames * FRAME_SAMPLES - unheard_samples
                self._end(told, heard_samples, interrupted=True)
        told = self._now
        if told is None:
            return
        if not told.has_sounded and turn.playing_id not in {None, told.after_id}:
            told.has_sounded = True
            told.steps.end(WAIT)
        if told.has_sounded and turn.state is State.LISTENING:
            self._finish(told, sent_frames)

    def close(self, turn: Turn, sent_frames: int) -> None:
        """End what is under way: the call is over."""
        self.follow(turn, sent_frames)
        if self._now is not None:
            unheard_samples = turn.speech.playback.unheard_samples
            self._finish(self._now, sent_frames, unheard_samples)
        for told in self._cut:
            if told is not None:
                self._end(told, 0, interrupted=True)
        self._cut.clear()
        self.session.span.tell({"tandem.tool_calls": self.tool_calls})

    def _begin(self, by: str, turn: Turn, sent_frames: int) -> None:
        if self._now is not None:
            self._finish(self._now, sent_frames)
        span = self.session.span.child(TURN, {"tandem.turn.began_by": by})
        self._now = _Told(Steps(span), turn.playing_id, sent_frames)
        self._now.steps.begin(WAIT)

    def _cut_off(self, sent_frames: int) -> None:
        told, self._now = self._now, None
        if told is not None:
            told.sent_frames = sent_frames - told.sent_frames
        self._cut.append(told)

    def _finish(self, told: _Told, sent_frames: int, unheard_samples: int = 0) -> None:
        self._now = None
        own_samples = (sent_frames - told.sent_frames) * FRAME_SAMPLES
        heard_samples = own_samples - unheard_samples if told.has_sounded else 0
        self._end(told, heard_samples, interrupted=False)

    def _end(self, told: _Told, heard_samples: int, *, interrupted: bool) -> None:
        told.steps.span.tell(
            {
                "tandem.turn.answered": told.has_sounded,
                "tandem.turn.interrupted": interrupted,
                "tandem.turn.heard_ms": max(0, heard_samples) // _SAMPLES_PER_MS,
                "tandem.turn.tool_calls": told.tool_calls,
            }
        )
        told.steps.close()
