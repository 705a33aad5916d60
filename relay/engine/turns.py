"""Where turns begin and end: the probability of speech of each hop, to edges.

| state    | voiced hop                  | unvoiced hop                              |
|----------|-----------------------------|-------------------------------------------|
| QUIET    | RISING                      | QUIET                                     |
| RISING   | SPEAKING, edge STARTED      | QUIET (a click)                           |
| SPEAKING | SPEAKING                    | PAUSING                                   |
| PAUSING  | SPEAKING                    | PAUSING; edge PAUSED once, then QUIET     |
|          |                             | with edge ENDED after the silence asked   |

Once speaking, a hop counts as voiced down to `RELEASE` below the threshold: the model
wavers inside words. Positions are samples since the session began.
"""

from enum import Enum, auto

from relay.engine.audio import samples_of
from relay.engine.ports import HOP_SAMPLES
from relay.engine.session_config import TurnRules

RELEASE = 0.15
"""Hysteresis of probability, as in Silero's own iterator."""

PAUSE_SAMPLES = 6 * HOP_SAMPLES
"""192 ms of silence: worth having the text ready, should the turn end here."""

MAX_TURN_SAMPLES = samples_of(120_000)
"""A turn of two minutes is ended; it bounds the audio kept for one turn."""


class Edge(Enum):
    """What a hop changed."""

    STARTED = auto()
    PAUSED = auto()
    ENDED = auto()


class _State(Enum):
    QUIET = auto()
    RISING = auto()
    SPEAKING = auto()
    PAUSING = auto()


class TurnDetector:
    """Finds turns in a stream of hops."""

    def __init__(self) -> None:
        self._state = _State.QUIET
        self._paused = False
        self.position_samples = 0
        self.onset_samples = 0
        self.voiced_until_samples = 0

    @property
    def is_speaking(self) -> bool:
        """A turn has started and not ended."""
        return self._state in {_State.SPEAKING, _State.PAUSING}

    def reset(self) -> None:
        """Forget the turn under way, not the position."""
        self._state = _State.QUIET

    def skip(self) -> None:
        """Let one hop pass unjudged."""
        self._state = _State.QUIET
        self.position_samples += HOP_SAMPLES

    def step(self, probability: float, rules: TurnRules) -> Edge | None:
        """Take one hop; return what it changed."""
        floor = rules.threshold - (RELEASE if self.is_speaking else 0.0)
        is_voiced = probability >= max(floor, 0.01)
        if is_voiced and self._state is _State.QUIET:
            self.onset_samples = self.position_samples
        self.position_samples += HOP_SAMPLES
        edge = self._voiced() if is_voiced else self._unvoiced(rules)
        if edge is None and self._is_too_long():
            self._state = _State.QUIET
            return Edge.ENDED
        return edge

    def _is_too_long(self) -> bool:
        length = self.position_samples - self.onset_samples
        return self.is_speaking and length >= MAX_TURN_SAMPLES

    def _voiced(self) -> Edge | None:
        self.voiced_until_samples = self.position_samples
        self._paused = False
        if self._state is _State.QUIET:
            self._state = _State.RISING
            return None
        began = self._state is _State.RISING
        self._state = _State.SPEAKING
        return Edge.STARTED if began else None

    def _unvoiced(self, rules: TurnRules) -> Edge | None:
        if not self.is_speaking:
            self._state = _State.QUIET
            return None
        self._state = _State.PAUSING
        silence = self.position_samples - self.voiced_until_samples
        if silence >= rules.silence_samples:
            self._state = _State.QUIET
            return Edge.ENDED
        if silence >= PAUSE_SAMPLES and not self._paused:
            self._paused = True
            return Edge.PAUSED
        return None
