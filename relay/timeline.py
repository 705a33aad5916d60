"""The caller's timeline, kept true for an upstream that counts samples.

An upstream knows time only by the audio it gets: the end of a turn is so many samples
of silence. So silence is made up where none comes: by time, when the caller's frames
stop (discontinuous transmission, a lost path), and before a frame that lies behind a
gap.

    frames come          silent for QUIET_S       for NEEDED         for ENOUGH
    as they are  ──────► up to the present ─────► what is owed ────► nothing more,
                         in small steps           taken off,         until the caller
                                                  in large steps     speaks

A frame that comes after silence was made up in its place is heard behind it: nothing
said is lost. The model then has heard more than there was; that is owed, and taken off
where it delays no end of a turn. Pure: takes `now`, returns samples.
"""

from proto.frames import SAMPLE_RATE_HZ

QUIET_S = 0.16
"""Seconds without a frame that are silence: the next one is due after 0.02, and a link
waits 0.12 for a missing one, behind which the others come at once. Less would cut words
in two on a path that merely jitters; more would pass the shortest usual end of a turn
(0.2 s), which is not late as long as silence then reaches up to the present."""

COMFORT_QUIET_S = 0.04
"""The same behind a frame in the midst of silence: two frames. Little is lost if it was
the first of a word after all, and comfort packets must not put off the end of a turn.
"""

NEEDED_SAMPLES = 2 * SAMPLE_RATE_HZ
"""2 s of silence are told in full, and in time: longer than any usual end of a turn
(0.5 s); the rest pays what is owed."""

ENOUGH_SAMPLES = 10 * SAMPLE_RATE_HZ
"""10 s: semantic turn detection ends a turn after 8 s at most (OpenAI's documentation
of `eagerness`), and 2 s more if something was owed."""

ENDLESS_SAMPLES = 2**62
"""For a model that is to miss the caller after a while (`idle_timeout_ms`): it may
count audio, from the end of its own reply."""

STEP_SAMPLES = SAMPLE_RATE_HZ * 240 // 1000
"""Least silence by time once no turn should be open any longer: 0.24 s."""

MAX_FILL_SAMPLES = 2 * SAMPLE_RATE_HZ
"""Silence at once: 2 s, what an edge lets a caller's clock run ahead of time in one
step, and little enough for a wild position. A longer gap is shortened to this."""

MAX_OWED_SAMPLES = ENOUGH_SAMPLES
"""10 s; what is more is forgotten. Taken off silence that is needed, no turn would end
for a caller whose clock stands still in its pauses, as some count time by what they
send: each of them is owed in full."""

SPEECH_SAMPLES = SAMPLE_RATE_HZ * 60 // 1000
"""Audio that ends a silence: 60 ms. Less is a comfort packet in the midst of it, which
Opus sends each 400 ms (and right after it one that announces the pause)."""

_GAP_SAMPLES = int(QUIET_S * SAMPLE_RATE_HZ)
"""A shorter gap is a loss, and parts no speech."""


class Timeline:
    """How far the upstream has been told, in samples of the caller's media time.

    Attributes:
        head_samples: Up to there.
        owed_samples: Silence told in whose place audio came after all.
    """

    def __init__(self) -> None:
        self.head_samples = 0
        self.owed_samples = 0
        self._heard_samples = -1  # the last frame's end; before the first there is none
        self._heard_at = 0.0
        self._spoken_samples = 0  # since the last gap
        self._silent_samples = 0  # where the silence under way began
        self._enough_samples = ENOUGH_SAMPLES

    @property
    def is_at_rest(self) -> bool:
        """Nothing is to be made up before the caller's next frame."""
        told_samples = self.head_samples - self._silent_samples
        return self._heard_samples < 0 or told_samples >= self._enough_samples

    def take(self, position_samples: int, samples: int, now: float) -> int:
        """Move past a frame; return the silence to insert before it.

        Before the first frame there is none: the call was being set up.
        """
        silence = 0
        if not position_samples == self._heard_samples == self.head_samples:
            silence = self._meet(position_samples)
        self.head_samples += samples
        self._heard_samples = position_samples + samples
        self._heard_at = now
        self._spoken_samples += samples
        if self._spoken_samples >= SPEECH_SAMPLES:
            self._silent_samples = self.head_samples
        return silence

    def pass_time(self, now: float) -> int:
        """Return the silence to insert now, as no frame came."""
        quiet_s = now - self._heard_at
        has_spoken = self._spoken_samples >= SPEECH_SAMPLES
        if quiet_s < (QUIET_S if has_spoken else COMFORT_QUIET_S) or self.is_at_rest:
            return 0
        present = self._heard_samples + int(quiet_s * SAMPLE_RATE_HZ)
        told = self.head_samples - self._silent_samples
        step = 1 if told < NEEDED_SAMPLES else STEP_SAMPLES
        if present - self.head_samples < step:
            return 0
        return self._advance(present)

    def expect_idleness(self, *, to_be_noticed: bool) -> None:
        """Set whether silence goes on for ever, since the model waits for its length.

        Args:
            to_be_noticed: The session has an idle timeout.
        """
        self._enough_samples = ENDLESS_SAMPLES if to_be_noticed else ENOUGH_SAMPLES

    def speech_started(self) -> None:
        """Begin a silence anew: the model takes what it heard for speech."""
        self._silent_samples = self.head_samples

    def _meet(self, position: int) -> int:
        """Move to a frame that does not simply follow; return the silence before it."""
        heard, head = self._heard_samples, self.head_samples
        if not 0 <= heard <= position:  # the first one, or no edge of ours
            if heard >= 0:
                self._owe(head - heard)
            self._silent_samples = self.head_samples = position
            return 0
        is_apart = position - heard >= _GAP_SAMPLES
        if is_apart:
            self._spoken_samples = 0
        if position >= head:
            return self._advance(position)
        if not is_apart:
            self._owe(head - position)
            self.head_samples = position
        return 0  # apart, it is comfort: as much less silence follows at once

    def _advance(self, to: int) -> int:
        """Move on through silence; return what is told of it."""
        told = self.head_samples - self._silent_samples
        passed = to - self._silent_samples
        self.head_samples = to
        needed = max(min(passed, NEEDED_SAMPLES) - told, 0)
        spare = max(min(passed, self._enough_samples) - max(told, NEEDED_SAMPLES), 0)
        silence = needed + spare - min(spare, self.owed_samples)
        silence = min(silence, MAX_FILL_SAMPLES)
        untold = passed - told - silence
        self.owed_samples = max(self.owed_samples - untold, 0)
        return silence

    def _owe(self, samples: int) -> None:
        self.owed_samples = min(self.owed_samples + samples, MAX_OWED_SAMPLES)
