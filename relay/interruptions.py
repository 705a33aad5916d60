"""What was interrupted, until it is known how much of it the caller heard. Pure.

An interruption has two halves. At once: drop the queue, flush the edge, ignore what
still comes for the responses that were under way (`turn` does). Once the edge has said
what will have been heard, or 0.8 s later with the last position it told, it is settled.
In between, the next response may already play, and be interrupted: the edge tells them
apart by talkspurt. Only the newest flush is answered. Its answer settles those before
it, too: at what it says when it is of their talkspurt, else at the last position told,
for the edge goes on telling it until it sends the next talkspurt.

What is taken out of here is to be settled.
"""

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from relay.audio import Playback
from relay.upstream.events import AudioBegan

FLUSH_TIMEOUT_S = 0.8
"""Seconds the edge's answer to a flush is waited for. The caller has silence meanwhile,
and the link asks again for as long as it lives: without a sign of life, 0.7 s. Given up
sooner, a flush that was merely slow is remembered by what was played long before it."""

MAX_PENDING = 4
"""Interruptions that wait for the edge; of more, the oldest is settled as it stands."""


class Interruption(NamedTuple):
    """One that is not settled.

    Attributes:
        playback: Of all that was sent and not known to be heard.
        response_ids: Those that were under way, to be cancelled.
        playing_id: The one that the caller was being sent, if any.
        talkspurt: The last that was flushed.
        is_flushing: The edge has been asked; False: it had nothing to flush.
    """

    playback: Playback
    response_ids: tuple[str, ...]
    playing_id: str | None
    talkspurt: int
    is_flushing: bool
    settle_by_s: float

    def heard(self, talkspurt: int, samples: int) -> None:
        """Note how far the caller heard, unless it is of what came afterwards."""
        if talkspurt <= self.talkspurt:
            self.playback.heard(talkspurt, samples)


class Interruptions:
    """Those of one session that wait for the edge, the oldest first."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending: deque[Interruption] = deque()

    def __bool__(self) -> bool:
        return bool(self._pending)

    @property
    def deadline(self) -> float:
        """When `take_due` is due; infinite: never. HOT PATH."""
        return self._pending[0].settle_by_s if self._pending else math.inf

    def add(self, interruption: Interruption) -> None:
        """Wait for the edge; make room before."""
        self._pending.append(interruption)

    def take_for_room(self) -> Sequence[Interruption]:
        """Take out the oldest if one more would be too many."""
        return [self._pending.popleft()] if len(self._pending) >= MAX_PENDING else []

    def take_due(self, now: float) -> Sequence[Interruption]:
        """Take out what the edge has left unanswered for too long."""
        due = []
        while now >= self.deadline:
            due.append(self._pending.popleft())
        return due

    def take_flushed(self, talkspurt: int, samples: int) -> Sequence[Interruption]:
        """Take out what the edge's answer to the newest flush settles."""
        flushed = [one for one in self._pending if one.is_flushing]
        for interruption in flushed[:-1]:
            interruption.heard(talkspurt, samples)
        for interruption in flushed[-1:]:  # sent later than it names: flushed too late
            interruption.playback.heard(talkspurt, samples)
        self._pending = deque(one for one in self._pending if not one.is_flushing)
        return flushed

    def heard(self, talkspurt: int, samples: int) -> None:
        """Note how far the caller has heard. HOT PATH."""
        for interruption in self._pending:
            interruption.heard(talkspurt, samples)

    def began(self, event: AudioBegan) -> None:
        """Learn of a part that was interrupted before it was announced: unheard."""
        if self._pending:
            self._pending[-1].playback.begin(event)

    def cancelled(self) -> None:
        """Leave the responses of the newest alone: they have been cancelled."""
        if self._pending:
            self._pending[-1] = self._pending[-1]._replace(response_ids=())
