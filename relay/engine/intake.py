"""The input audio buffer of a session, and the turns found in it.

Positions are samples since the session began. Without turn detection the buffer grows
until it is committed or cleared, up to `MAX_BUFFER_SAMPLES`. With it, the buffer keeps
what a turn may still need: the padding before speech; audio of a turn moves on to its
`Listening`. Switching turn detection off drops the turn under way.
"""

from collections.abc import Callable

from relay.engine.audio import milliseconds, samples_of
from relay.engine.errors import ClientError
from relay.engine.ports import HOP_SAMPLES, SAMPLE_BYTES, Samples
from relay.engine.session_config import TurnRules
from relay.engine.turns import Edge, TurnDetector
from relay.engine.utterance import Listening

MAX_BUFFER_SAMPLES = samples_of(300_000)
"""Five minutes of uncommitted audio, 14 MB."""

MIN_COMMIT_SAMPLES = samples_of(100)
"""Least audio that may be committed (API: 100 ms)."""

_MARGIN_SAMPLES = 4 * HOP_SAMPLES
"""Kept beyond the padding: the hops by which onset is decided late."""


class Intake:
    """Uncommitted audio and the turn under way."""

    def __init__(self, new_id: Callable[[str], str]) -> None:
        self._new_id = new_id
        self._audio = bytearray()
        self._base_samples = 0
        self._detector = TurnDetector()
        self.turn: Listening | None = None

    @property
    def end_samples(self) -> int:
        """Position of the next sample to come."""
        return self._base_samples + len(self._audio) // SAMPLE_BYTES

    @property
    def heard_samples(self) -> int:
        """Position up to which turns have been looked for."""
        return self._detector.position_samples

    def append(self, pcm: Samples) -> None:
        """Add audio.

        Raises:
            ClientError: The buffer would exceed its bound.
        """
        held = len(self._audio) // SAMPLE_BYTES
        if held + len(pcm) > MAX_BUFFER_SAMPLES:
            raise ClientError(
                "input_audio_buffer_full",
                f"The input audio buffer holds at most "
                f"{milliseconds(MAX_BUFFER_SAMPLES)}ms; commit or clear it.",
                "audio",
            )
        self._audio += pcm.tobytes()

    def clear(self) -> Listening | None:
        """Drop all uncommitted audio; return the turn dropped, if any."""
        dropped, self.turn = self.turn, None
        self._detector.reset()
        self._trim(self.end_samples)
        return dropped

    def commit(self) -> Listening:
        """End the turn under way, or make one of all that is buffered.

        Raises:
            ClientError: There is too little audio.
        """
        turn = self.turn or Listening(self._new_id("item"), self._base_samples)
        length = self.end_samples - turn.start_samples
        if length < MIN_COMMIT_SAMPLES:
            raise ClientError(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at "
                "least 100ms of audio, but buffer only has "
                f"{milliseconds(length):.2f}ms of audio.",
            )
        turn.extend(self._slice(turn.end_samples, self.end_samples))
        self.clear()
        turn.end()
        return turn

    def commit_silence(self) -> Listening:
        """Make an empty turn of a silence that lasted too long."""
        turn = Listening(self._new_id("item"), self.end_samples)
        self.clear()
        turn.end()
        return turn

    def step(self, probability: float, rules: TurnRules | None) -> Edge | None:
        """Take the probability of speech of the next hop; return what it changed.

        After STARTED `turn` is the new turn; after ENDED it is the ended one until
        `finish()`.
        """
        if rules is None:
            self._detector.skip()
            return None
        edge = self._detector.step(probability, rules)
        if edge is Edge.STARTED:
            self._begin(rules)
        if self.turn is not None:
            self._follow(self.turn)
        else:
            keep = rules.prefix_padding_samples + _MARGIN_SAMPLES
            self._trim(self.heard_samples - keep)
        if self.turn is not None and edge is Edge.PAUSED:
            self.turn.pause()
        if self.turn is not None and edge is Edge.ENDED:
            self.turn.end()
        return edge

    def finish(self) -> None:
        """Let go of the ended turn."""
        self.turn = None

    def _begin(self, rules: TurnRules) -> None:
        start = self._detector.onset_samples - rules.prefix_padding_samples
        self.turn = Listening(self._new_id("item"), max(start, self._base_samples))

    def _follow(self, turn: Listening) -> None:
        end = min(self.heard_samples, self.end_samples)
        turn.extend(
            self._slice(turn.end_samples, end), self._detector.voiced_until_samples
        )
        self._trim(end)

    def _slice(self, start_samples: int, end_samples: int) -> bytes:
        start = (start_samples - self._base_samples) * SAMPLE_BYTES
        end = (end_samples - self._base_samples) * SAMPLE_BYTES
        return bytes(self._audio[max(start, 0) : max(end, 0)])

    def _trim(self, to_samples: int) -> None:
        count = min(to_samples, self.end_samples) - self._base_samples
        if count > 0:
            del self._audio[: count * SAMPLE_BYTES]
            self._base_samples += count
