"""One turn of the caller on its way to text: which audio to hear next, what is settled.

The shell pulls audio when the speech-to-text stage has time for it, so nothing queues:
while the caller speaks, a piece now and then (for partial transcripts, and so that
little is left at the end); at a pause, all of it, since the turn may end here; at the
end, the rest. If nothing was voiced since the text of the pause, it is final at once.
"""

from relay.engine.audio import samples_of
from relay.engine.ports import SAMPLE_BYTES, SAMPLE_RATE_HZ

PARTIAL_SAMPLES = samples_of(480)
"""New audio that makes another partial transcript worth its cost."""

PIECE_SAMPLES = samples_of(8_000)
"""Most audio handed over at once, so that a long turn does not hold the stage."""

SETTLED_SAMPLES = samples_of(120)
"""Silence after the last voiced hop that a final text must have heard."""


class Listening:
    """The audio of one turn, what of it is not yet heard, and its text so far."""

    def __init__(self, item_id: str, start_samples: int) -> None:
        self.item_id = item_id
        self.start_samples = start_samples
        self.end_samples = start_samples
        self.text = ""
        self.is_ended = False
        self.is_final = False
        self.recording = bytearray()
        self._pending = bytearray()
        self._covered_samples = start_samples
        self._voiced_until_samples = start_samples
        self._wants_all = False
        self._streamed: list[str] = []

    @property
    def duration_s(self) -> float:
        """Length of the turn in seconds."""
        return (self.end_samples - self.start_samples) / SAMPLE_RATE_HZ

    def extend(self, pcm: bytes, voiced_until_samples: int | None = None) -> None:
        """Add audio (s16le), voiced up to a position; by default all of it."""
        self.recording += pcm
        self._pending += pcm
        self.end_samples += len(pcm) // SAMPLE_BYTES
        voiced = voiced_until_samples
        self._voiced_until_samples = self.end_samples if voiced is None else voiced

    def pause(self) -> None:
        """Ask for all audio to be heard: the turn may end here."""
        self._wants_all = True

    def end(self) -> None:
        """No more audio will come; the text may be settled already."""
        self.is_ended = True
        self._wants_all = True
        self._settle()

    def pull(self, *, stage_is_idle: bool) -> bytes | None:
        """Take the audio to be heard now (s16le), or None while there is no need."""
        waiting_samples = len(self._pending) // SAMPLE_BYTES
        worthwhile = stage_is_idle and waiting_samples >= PARTIAL_SAMPLES
        if self.is_final or not (waiting_samples and (self._wants_all or worthwhile)):
            return None
        piece = bytes(self._pending[: PIECE_SAMPLES * SAMPLE_BYTES])
        del self._pending[: len(piece)]
        self._wants_all = self.is_ended
        return piece

    def heard(self, text: str, piece: bytes) -> str:
        """Note the text of everything pulled so far; return words now sure, or ""."""
        self._covered_samples += len(piece) // SAMPLE_BYTES
        agreed = _common_words(self.text.split(), text.split())
        self.text = text
        self._settle()
        return self._stream(agreed[:-1])

    def fail(self) -> None:
        """Settle for the text so far."""
        self._pending.clear()
        self.is_final = True

    def rest(self) -> str:
        """Return what streamed words lack of the final text; "" if it differs."""
        words = self.text.split()
        count = len(self._streamed)
        if words[:count] != self._streamed or len(words) == count:
            return ""
        return (" " if count else "") + " ".join(words[count:])

    def _settle(self) -> None:
        needed = min(self._voiced_until_samples + SETTLED_SAMPLES, self.end_samples)
        if self.is_ended and self._covered_samples >= needed:
            self._pending.clear()
            self.is_final = True

    def _stream(self, sure: list[str]) -> str:
        count = len(self._streamed)
        if self.is_final or len(sure) <= count or sure[:count] != self._streamed:
            return ""
        self._streamed = sure
        return (" " if count else "") + " ".join(sure[count:])


def _common_words(one: list[str], other: list[str]) -> list[str]:
    """Return the words that two transcripts begin with alike (LocalAgreement-2)."""
    agreed = []
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        agreed.append(first)
    return agreed
