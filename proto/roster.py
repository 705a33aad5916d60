"""The sessions of one link: which there are, what is due for them, which have ended.

Passes nothing to them: what begins a session, and what reaches it, `link` decides.
"""

import copy
import math
from typing import Final

from proto.port import Speaker
from proto.session import Session, SessionState
from proto.stats import FrameCounts

QUIET_S: Final = 0.03
"""A frame and a half: silent for so long, a sender tells which frame was its last."""

QUIET_CHECK_S: Final = 0.02
"""Pause between looks for senders gone quiet."""

MAX_SESSIONS: Final = 1024
"""Sessions on one link; more are refused."""

MAX_REMEMBERED: Final = 1024
"""Ended sessions a listener remembers, lest a late OPEN begin one again."""


class Roster:
    """At most `MAX_SESSIONS` live sessions, and the ids of the newest ended ones.

    Attributes:
        sessions: Those that live, by id.
    """

    def __init__(self) -> None:
        self.sessions: dict[int, Session] = {}
        self._timed: dict[Session, None] = {}
        self._speaking: dict[Speaker, None] = {}
        self._quiet_check_at = math.inf
        self._ended: dict[int, None] = {}
        self._ended_frames = FrameCounts()

    @property
    def is_full(self) -> bool:
        """No further session may be added."""
        return len(self.sessions) >= MAX_SESSIONS

    def add(self, session: Session) -> None:
        """Take in a new session."""
        self.sessions[session.id] = session

    def has_ended(self, session: int) -> bool:
        """Tell whether this id is remembered as that of an ended session."""
        return session in self._ended

    def settle(self, session: Session) -> float:
        """Forget a session that has ended, else keep it timed; return its deadline."""
        if session.state is SessionState.CLOSED:
            self._forget(session)
            return math.inf
        deadline = session.deadline
        if deadline < math.inf:
            self._timed[session] = None
        return deadline

    def spoke(self, speaker: Speaker, now: float) -> float:
        """Watch for the end of what a session began to send; return when to look."""
        self._speaking[speaker] = None
        if self._quiet_check_at == math.inf:
            self._quiet_check_at = now + QUIET_CHECK_S
        return self._quiet_check_at

    def tell_last(self, now: float) -> None:
        """If it is time to look, have those gone quiet tell which frame was last."""
        if now < self._quiet_check_at:
            return
        quiet = now - QUIET_S
        pending = [s for s in self._speaking if s.sent_at <= quiet or s.doubtful]
        for speaker in pending:  # few: the others have just spoken
            if speaker.tell_last(now, QUIET_S):
                del self._speaking[speaker]
        self._quiet_check_at = now + QUIET_CHECK_S if self._speaking else math.inf

    def due(self, now: float) -> list[Session]:
        """Return the sessions whose deadline has come."""
        return [session for session in self._timed if session.deadline <= now]

    def next_deadline(self) -> float:
        """Return when to look for what is `due` and to `tell_last`."""
        self._timed = {s: None for s in self._timed if s.deadline < math.inf}
        return min(self._quiet_check_at, *(s.deadline for s in self._timed), math.inf)

    def frames(self) -> FrameCounts:
        """Return the audio frames of all sessions up to now, ended ones too."""
        total = copy.copy(self._ended_frames)
        for session in self.sessions.values():
            total.add(session.audio.counts())
        return total

    def _forget(self, session: Session) -> None:
        if self.sessions.pop(session.id, None) is None:
            return
        self._ended_frames.add(session.audio.counts())
        self._timed.pop(session, None)
        self._speaking.pop(session.audio, None)
        self._ended[session.id] = None
        if len(self._ended) > MAX_REMEMBERED:
            del self._ended[next(iter(self._ended))]
