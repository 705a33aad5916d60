"""Whose turn it is: listening, thinking, speaking; and what a barge-in does.

    state      input            next       action
    LISTENING  RESPONSE_BEGAN   THINKING
    LISTENING  AUDIO            SPEAKING
    THINKING   AUDIO            SPEAKING
    THINKING   RESPONSES_ENDED  LISTENING
    THINKING   BARGE_IN         LISTENING  INTERRUPT
    THINKING   CLEAR            LISTENING  INTERRUPT
    SPEAKING   PLAYED_OUT       LISTENING  STOP
    SPEAKING   BARGE_IN         LISTENING  INTERRUPT
    SPEAKING   CLEAR            LISTENING  INTERRUPT
    (each pair not listed: no change)

INTERRUPT drops the queue, flushes the edge, and ignores what still comes for the
responses that were under way. Once it is known how much was heard (`interruptions`),
cancel what the upstream has not cancelled by itself, truncate each item at what was
heard of it (delete it when that is nothing), and tell the client that the output was
cleared.

Playback has stopped when the caller has heard the end. That is told with the caller's
frames: too late by one that is silent, and so sends one in 0.4 s (DTX). But how long
after it was due a sample is told as heard hardly changes. So the end of a response that
is known to be done counts as heard that long after it was due, told or not.

`Turn` takes inputs with `now` and returns commands for the session to carry out. It
knows no socket and no clock.
"""

import enum
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from proto.frames import SAMPLE_RATE_HZ
from relay.audio import Speech
from relay.interruptions import (
    FLUSH_TIMEOUT_S,
    MAX_PENDING,
    Interruption,
    Interruptions,
)
from relay.upstream import events
from relay.upstream.events import AudioDelta, EventIds

PLAYOUT_GRACE_S = 0.5
"""Seconds after the last frame was due when it counts as heard at the latest, though no
uplink frame has said so: a muted caller sends none."""

MAX_RESPONSES = 64
"""Responses under way that are followed; of more, the oldest is forgotten."""

SILENCED_RESPONSES = 16
"""Interrupted responses whose late audio is told from new."""


class State(enum.Enum):
    """What the model is doing, as the caller hears it."""

    LISTENING = enum.auto()
    THINKING = enum.auto()
    SPEAKING = enum.auto()


class Input(enum.Enum):
    """What moves a turn on."""

    RESPONSE_BEGAN = enum.auto()
    RESPONSES_ENDED = enum.auto()
    AUDIO = enum.auto()
    PLAYED_OUT = enum.auto()
    BARGE_IN = enum.auto()
    CLEAR = enum.auto()


class Action(enum.Enum):
    """What a transition entails."""

    NONE = enum.auto()
    INTERRUPT = enum.auto()
    STOP = enum.auto()


_L, _T, _S = State.LISTENING, State.THINKING, State.SPEAKING
TRANSITIONS: Mapping[tuple[State, Input], tuple[State, Action]] = {
    (_L, Input.RESPONSE_BEGAN): (_T, Action.NONE),
    (_L, Input.RESPONSES_ENDED): (_L, Action.NONE),
    (_L, Input.AUDIO): (_S, Action.NONE),
    (_L, Input.PLAYED_OUT): (_L, Action.NONE),
    (_L, Input.BARGE_IN): (_L, Action.NONE),
    (_L, Input.CLEAR): (_L, Action.NONE),
    (_T, Input.RESPONSE_BEGAN): (_T, Action.NONE),
    (_T, Input.RESPONSES_ENDED): (_L, Action.NONE),
    (_T, Input.AUDIO): (_S, Action.NONE),
    (_T, Input.PLAYED_OUT): (_T, Action.NONE),
    (_T, Input.BARGE_IN): (_L, Action.INTERRUPT),
    (_T, Input.CLEAR): (_L, Action.INTERRUPT),
    (_S, Input.RESPONSE_BEGAN): (_S, Action.NONE),
    (_S, Input.RESPONSES_ENDED): (_S, Action.NONE),
    (_S, Input.AUDIO): (_S, Action.NONE),
    (_S, Input.PLAYED_OUT): (_L, Action.STOP),
    (_S, Input.BARGE_IN): (_L, Action.INTERRUPT),
    (_S, Input.CLEAR): (_L, Action.INTERRUPT),
}


class FlushEdge(NamedTuple):
    """Have the edge drop all audio of talkspurts up to this one."""

    talkspurt: int


class ToUpstream(NamedTuple):
    """Send an event to the upstream."""

    payload: bytes


class ToClient(NamedTuple):
    """Send an event to the client."""

    payload: bytes


Command = FlushEdge | ToUpstream | ToClient


class Turn:
    """The turns of one session, and its downlink audio up to the clock."""

    __slots__ = (
        "_active",
        "_commands",
        "_done_id",
        "_end_s",
        "_ids",
        "_interrupts",
        "_lag_s",
        "_pending",
        "_playing_id",
        "_silenced",
        "interruptions",
        "played_by_s",
        "settled",
        "speech",
        "state",
        "unheard_samples",
    )

    def __init__(self, ids: EventIds) -> None:
        self.state = State.LISTENING
        self.speech = Speech()
        self.interruptions = 0
        self.unheard_samples = 0
        """Sent, and then cut off before the caller heard them."""
        self.settled: deque[int] = deque(maxlen=MAX_PENDING)
        """The same of each interruption as it is settled, for whoever tells of turns;
        of more, the oldest is forgotten."""
        self._ids = ids
        self._interrupts = True
        self._active: dict[str, bool] = {}
        """Responses begun and not done -> out of band and without audio so far."""
        self._silenced: deque[str] = deque(maxlen=SILENCED_RESPONSES)
        self._playing_id: str | None = None
        self._done_id: str | None = None
        """Of those that may be heard, the last to be done."""
        self.played_by_s: float | None = None
        """When all that was sent counts as heard; None: more is to be sent."""
        self._end_s = 0.0
        self._lag_s = PLAYOUT_GRACE_S
        """After a sample was due, until it is told as heard; as it was last."""
        self._pending = Interruptions()
        self._commands: list[Command] = []

    @property
    def playing_id(self) -> str | None:
        """The response whose audio the caller is being sent."""
        return self._playing_id

    # From the upstream.

    def configured(self, event: events.SessionConfigured) -> list[Command]:
        """Learn whether the caller's speech interrupts the model."""
        self._interrupts = event.interrupts
        return self._take_commands() if self._commands else []

    def response_created(
        self, event: events.ResponseCreated, now: float
    ) -> list[Command]:
        """Begin to follow a response."""
        self._active[event.response_id] = event.out_of_band
        if len(self._active) > MAX_RESPONSES:
            del self._active[next(iter(self._active))]
        if not event.out_of_band:
            self._step(Input.RESPONSE_BEGAN, now)
        return self._take_commands()

    def response_done(self, event: events.ResponseDone, now: float) -> list[Command]:
        """End a response; its audio may still be on its way."""
        if not self._active.pop(event.response_id, False):
            self._done_id = event.response_id
        self.speech.complete(event.response_id)
        if not self._live_ids():
            self._step(Input.RESPONSES_ENDED, now)
        if self.played_by_s is not None:
            self._expect_end()
        self._check_played_out(now)
        return self._take_commands()

    def audio_began(self, event: events.AudioBegan) -> None:
        """Learn of a part before its audio: interrupted by then, it was not heard."""
        if event.response_id in self._silenced:  # and not cancelled in time
            self._pending.began(event)
        elif self._active.get(event.response_id) is False:
            self.speech.announce(event)

    def audio(self, delta: AudioDelta, now: float) -> list[Command]:
        """Queue audio, unless it is a late part of what was interrupted. HOT PATH."""
        response_id = delta.response_id
        if response_id not in self._silenced:
            if self._active.get(response_id):
                self._active[response_id] = False
            self.speech.push(delta)
            if self.state is not _S:
                self._step(Input.AUDIO, now)
        return self._take_commands() if self._commands else []

    def audio_done(self, event: events.AudioDone) -> list[Command]:
        """Let the last samples of a part go out."""
        self.speech.finish(event.response_id)
        return self._take_commands()

    def speech_started(self, now: float) -> list[Command]:
        """The caller speaks: barge in, unless the session is set not to."""
        if self._interrupts:
            self._step(Input.BARGE_IN, now)
        return self._take_commands()

    # From the client and the edge.

    def clear_requested(self, now: float) -> list[Command]:
        """Silence the model because the client asks for it; cancels at once."""
        live = self._live_ids()
        self._step(Input.CLEAR, now)
        for response_id in live:
            self._cancel(response_id)
        if live:
            self._pending.cancelled()
        return self._take_commands()

    def heard(self, talkspurt: int, samples: int, now: float) -> list[Command]:
        """Note how far the caller has heard. HOT PATH."""
        if self._pending:
            self._pending.heard(talkspurt, samples)
        speech = self.speech
        speech.playback.heard(talkspurt, samples)
        if self.state is _S:
            if talkspurt == speech.talkspurt and samples:
                self._note_lag(samples, now)
            if not speech.waiting:
                self._check_played_out(now)
        return self._take_commands() if self._commands else []

    def flush_done(self, talkspurt: int, samples: int) -> list[Command]:
        """Take the edge's answer to the newest flush; too late it changes nothing.

        When the edge was already sending a later talkspurt, the flush came after the
        end of those it names.
        """
        self._settle(self._pending.take_flushed(talkspurt, samples))
        return self._take_commands()

    # From the clock.

    def frames_sent(self, end_s: float, now: float) -> list[Command]:
        """Note that frames have left; the last one sent has been played at `end_s`.

        HOT PATH.
        """
        response_id = self.speech.last_response_id
        if response_id is not None and response_id != self._playing_id:
            self._stop()
            self._playing_id = response_id
            self._tell_client(events.playback_started, response_id)
        self._end_s = end_s
        self.played_by_s = None
        if not self.speech.waiting and self.speech.is_drained:
            self._expect_end()
            self._check_played_out(now)
        return self._take_commands() if self._commands else []

    def next_timeout(self) -> float | None:
        """Return when `handle_timeout` is due, if ever. HOT PATH."""
        played_by_s = self.played_by_s
        if not self._pending:
            return played_by_s
        settle_by_s = self._pending.deadline
        return settle_by_s if played_by_s is None else min(settle_by_s, played_by_s)

    def handle_timeout(self, now: float) -> list[Command]:
        """Do what is due."""
        self._settle(self._pending.take_due(now))
        if self.played_by_s is not None and now >= self.played_by_s:
            self.played_by_s = None
            self.speech.assume_heard()
            self._check_played_out(now)
        return self._take_commands()

    def _step(self, step: Input, now: float) -> None:
        self.state, action = TRANSITIONS[self.state, step]
        if action is Action.INTERRUPT:
            self._interrupt(now)
        elif action is Action.STOP:
            self._stop()

    def _live_ids(self) -> tuple[str, ...]:
        """Responses under way that the caller waits for or hears."""
        return tuple(
            response_id
            for response_id, out_of_band in self._active.items()
            if not out_of_band and response_id not in self._silenced
        )

    def _note_lag(self, samples: int, now: float) -> None:
        """Learn from what has been told of the talkspurt, unless that was its end."""
        unheard_samples = self.speech.sent_samples - samples
        if unheard_samples <= 0 or not self.speech.in_talkspurt:
            return
        lag_s = now + unheard_samples / SAMPLE_RATE_HZ - self._end_s
        self._lag_s = min(max(lag_s, 0.0), PLAYOUT_GRACE_S)
        if self.played_by_s is not None:
            self._expect_end()

    def _expect_end(self) -> None:
        """Set when all that was sent is heard: of a response under way not too soon."""
        is_done = self._playing_id == self._done_id
        self.played_by_s = self._end_s + (self._lag_s if is_done else PLAYOUT_GRACE_S)

    def _check_played_out(self, now: float) -> None:
        if self.state is not State.SPEAKING or not self.speech.is_played_out:
            return
        if self._playing_id in self._active:
            return
        self._step(Input.PLAYED_OUT, now)
        if self._live_ids():
            self._step(Input.RESPONSE_BEGAN, now)

    def _stop(self) -> None:
        if self._playing_id is not None:
            self._tell_client(events.playback_stopped, self._playing_id)
        self._forget_playing()

    def _forget_playing(self) -> None:
        self._playing_id = None
        self.played_by_s = None
        self.speech.last_response_id = None

    def _interrupt(self, now: float) -> None:
        self._settle(self._pending.take_for_room())
        self.interruptions += 1
        interrupted = self._live_ids()
        self._silenced.extend(interrupted)
        if self._playing_id is not None:
            self._silenced.append(self._playing_id)
            self._commands.append(FlushEdge(self.speech.talkspurt))
        interruption = Interruption(
            playback=self.speech.cut(),
            response_ids=interrupted,
            playing_id=self._playing_id,
            talkspurt=self.speech.talkspurt,
            is_flushing=self._playing_id is not None,
            settle_by_s=now + FLUSH_TIMEOUT_S,
        )
        self._pending.add(interruption)
        self._forget_playing()

    def _settle(self, interruptions: Iterable[Interruption]) -> None:
        for interruption in interruptions:
            self._forget_unheard(interruption)

    def _forget_unheard(self, interruption: Interruption) -> None:
        """Have the upstream remember no more than was heard; tell the client."""
        unheard_samples = interruption.playback.unheard_samples
        self.unheard_samples += unheard_samples
        self.settled.append(unheard_samples)
        for response_id in interruption.response_ids:
            if response_id in self._active:
                self._cancel(response_id)
        for cut in interruption.playback.cuts():
            if cut.audio_end_ms == 0 and cut.content_index == 0:
                forget = events.item_delete(self._ids.next(), cut.item_id)
            else:
                forget = events.item_truncate(self._ids.next(), *cut)
            self._commands.append(ToUpstream(forget))
        if interruption.playing_id is not None:
            self._tell_client(events.playback_cleared, interruption.playing_id)

    def _cancel(self, response_id: str) -> None:
        cancel = events.response_cancel(self._ids.next(), response_id)
        self._commands.append(ToUpstream(cancel))

    def _tell_client(self, make: Callable[[str, str], bytes], response_id: str) -> None:
        self._commands.append(ToClient(make(self._ids.next(), response_id)))

    def _take_commands(self) -> list[Command]:
        commands, self._commands = self._commands, []
        return commands
