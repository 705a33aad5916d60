"""From the model's audio deltas to frames, and from heard samples back to items.

`Speech` is one session's downlink audio: deltas of any length go in, frames of 20 ms
come out, and each frame that leaves is written down in `Playback`, which answers the
question a barge-in asks: of what the model said, what did the caller hear?

Heard is what has been played. A barge-in adds what the edge had sent before it fell
silent: that is on its way, or in the caller's jitter buffer, and nothing can stop it.
What waits here or at the edge is not heard, nor what the link lost; so it is never more
than was sent. What the caller's own path loses counts as heard: its ear makes it up.

A frame never mixes two parts of the conversation. Between deltas the samples that do
not fill a frame wait for the next delta; at the end of a part they are padded with
silence, which belongs to the talkspurt but to no item.
"""

from collections import deque
from typing import NamedTuple

from proto.frames import (
    FRAME_BYTES,
    FRAME_SAMPLES,
    SAMPLE_BYTES,
    SAMPLE_RATE_HZ,
    DownFrame,
)
from relay.upstream.events import AudioBegan, AudioDelta

MAX_PARTS = 1_024
"""Content parts followed at a time: a response has one to a few."""

MAX_QUEUED_FRAMES = 30_000
"""10 minutes (29 MB): a reply of a model's token limit is about 4 minutes."""

_SAMPLES_PER_MS = SAMPLE_RATE_HZ // 1000


class Part:
    """The audio of one content part of one item of one response."""

    __slots__ = (
        "content_index",
        "heard_samples",
        "is_complete",
        "item_id",
        "received_samples",
        "response_id",
    )

    def __init__(self, response_id: str, item_id: str, content_index: int) -> None:
        self.response_id = response_id
        self.item_id = item_id
        self.content_index = content_index
        self.received_samples = 0
        self.heard_samples = 0
        self.is_complete = False


class Cut(NamedTuple):
    """Where an item was interrupted; at 0 ms nothing of it was heard."""

    item_id: str
    content_index: int
    audio_end_ms: int


_Queued = tuple[Part, int, int, bytes]
"""A frame: its part, samples of that before it, its own without padding, its PCM."""


class _Span:
    """Samples of one part, contiguous in one talkspurt, not known to be heard."""

    __slots__ = ("offset_samples", "part", "samples", "start_samples", "talkspurt")

    def __init__(
        self, talkspurt: int, start_samples: int, part: Part, offset_samples: int
    ) -> None:
        self.talkspurt = talkspurt
        self.start_samples = start_samples
        self.part = part
        self.offset_samples = offset_samples
        self.samples = 0

    @property
    def unheard_samples(self) -> int:
        """Those of them that are not."""
        heard = self.part.heard_samples - self.offset_samples
        return self.samples - min(max(heard, 0), self.samples)


class Playback:
    """Which sample of which item each sent sample is, and how far it was heard.

    Grows by an entry for each part and each talkspurt, and shrinks as they are heard.
    Of more than 1,024 parts the oldest is forgotten: it will not be truncated.
    """

    __slots__ = ("_parts", "_spans")

    def __init__(self) -> None:
        self._parts: deque[Part] = deque(maxlen=MAX_PARTS)
        self._spans: deque[_Span] = deque()

    @property
    def is_heard(self) -> bool:
        """All that was sent was heard."""
        return not self._spans

    @property
    def unheard_samples(self) -> int:
        """What was sent and not heard."""
        return sum(span.unheard_samples for span in self._spans)

    def begin(self, begun: AudioBegan | AudioDelta) -> Part:
        """Begin to follow a part; return it."""
        part = Part(begun.response_id, begun.item_id, begun.content_index)
        self._parts.append(part)
        return part

    def sent(self, talkspurt: int, start_samples: int, queued: _Queued) -> None:
        """Write down a frame that leaves. HOT PATH."""
        part, offset_samples, samples, _ = queued
        spans = self._spans
        if spans:
            span = spans[-1]
            if (
                span.part is part
                and span.start_samples + span.samples == start_samples
                and span.talkspurt == talkspurt
            ):
                span.samples += samples
                return
        span = _Span(talkspurt, start_samples, part, offset_samples)
        span.samples = samples
        spans.append(span)

    def heard(self, talkspurt: int, samples: int) -> None:
        """Note that the caller has heard so many samples of that talkspurt."""
        spans = self._spans
        while spans and spans[0].talkspurt <= talkspurt:
            span = spans[0]
            reached = span.samples
            if span.talkspurt == talkspurt and samples - span.start_samples < reached:
                reached = samples - span.start_samples
            if reached <= 0:
                return
            part, heard_samples = span.part, span.offset_samples + reached
            if heard_samples > part.heard_samples:
                part.heard_samples = heard_samples
            if reached < span.samples:
                return
            spans.popleft()

    def forget_heard(self) -> None:
        """Stop following the parts that were heard to their end."""
        unheard = (part for part in self._parts if _is_unheard(part))
        self._parts = deque(unheard, maxlen=MAX_PARTS)

    def cuts(self) -> list[Cut]:
        """Return where each item not heard to its end was interrupted, in order."""
        return [
            Cut(
                part.item_id,
                part.content_index,
                min(part.heard_samples, part.received_samples) // _SAMPLES_PER_MS,
            )
            for part in self._parts
            if part.item_id and _is_unheard(part)
        ]


def _is_unheard(part: Part) -> bool:
    return not part.is_complete or part.heard_samples < part.received_samples


class Speech:
    """One session's downlink audio, between the model and the clock that sends it.

    The queue holds 10 minutes; beyond that the newest audio is dropped and counted in
    `dropped_samples`.

    Attributes:
        waiting: The frames, in order; to be looked at only for whether there are any.
    """

    __slots__ = (
        "_part",
        "_position_samples",
        "_rest",
        "dropped_samples",
        "in_talkspurt",
        "last_response_id",
        "playback",
        "talkspurt",
        "waiting",
    )

    def __init__(self) -> None:
        self.playback = Playback()
        self.waiting: deque[_Queued] = deque()
        self.talkspurt = 0
        self.in_talkspurt = False
        self.dropped_samples = 0
        self.last_response_id: str | None = None
        """Of the last frame taken."""
        self._position_samples = 0
        self._part: Part | None = None
        self._rest = b""

    @property
    def has_frames(self) -> bool:
        """A frame can be taken."""
        return bool(self.waiting)

    @property
    def sent_samples(self) -> int:
        """How many of the talkspurt have left."""
        return self._position_samples

    @property
    def is_played_out(self) -> bool:
        """Nothing waits, and all that was sent was heard."""
        return not self.waiting and not self._rest and self.playback.is_heard

    @property
    def is_drained(self) -> bool:
        """Nothing waits."""
        return not self.waiting and not self._rest

    def announce(self, event: AudioBegan) -> None:
        """Begin to follow a part of which no audio has come."""
        if self._part is None:  # else it begins with its audio
            self._begin_part(event)

    def push(self, delta: AudioDelta) -> None:
        """Queue a delta's audio, cut to frames. HOT PATH."""
        part = self._part
        if (
            part is None
            or part.item_id != delta.item_id
            or part.response_id != delta.response_id
            or part.content_index != delta.content_index
        ):
            part = self._begin_part(delta)
        pcm = self._rest + delta.pcm if self._rest else delta.pcm
        waiting = self.waiting
        end, at = len(pcm) - FRAME_BYTES, 0
        while at <= end:
            if len(waiting) >= MAX_QUEUED_FRAMES:
                self.dropped_samples += FRAME_SAMPLES
            else:
                frame = pcm[at : at + FRAME_BYTES]  # of a delta of one frame, itself
                waiting.append((part, part.received_samples, FRAME_SAMPLES, frame))
                part.received_samples += FRAME_SAMPLES
            at += FRAME_BYTES
        self._rest = pcm[at:]

    def finish(self, response_id: str) -> None:
        """End the response's current part: its last samples are padded to a frame."""
        if self._part and self._part.response_id == response_id:
            self._end_part()

    def complete(self, response_id: str) -> None:
        """Note that a response is done: nothing more comes for it."""
        self.finish(response_id)
        self.playback.forget_heard()

    def begin_talkspurt(self) -> None:
        """Number what follows as a new talkspurt."""
        self.talkspurt += 1
        self.in_talkspurt = True
        self._position_samples = 0

    def take(self, lead_ms: int) -> DownFrame:
        """Take the next frame, as it leaves; only if there is one, in a talkspurt.

        HOT PATH.
        """
        queued = self.waiting.popleft()
        position_samples = self._position_samples
        self.playback.sent(self.talkspurt, position_samples, queued)
        self._position_samples = position_samples + FRAME_SAMPLES
        self.last_response_id = queued[0].response_id
        return DownFrame(self.talkspurt, position_samples, lead_ms, queued[3])

    def assume_heard(self) -> None:
        """Take all that was sent as heard."""
        self.playback.heard(self.talkspurt, self._position_samples)

    def cut(self) -> Playback:
        """Drop all that waits and end the talkspurt; return the record of what left."""
        self.waiting.clear()
        self._rest = b""
        self._part = None
        self.in_talkspurt = False
        playback, self.playback = self.playback, Playback()
        return playback

    def _begin_part(self, begun: AudioBegan | AudioDelta) -> Part:
        self._end_part()
        part = self._part = self.playback.begin(begun)
        return part

    def _end_part(self) -> None:
        part, rest = self._part, self._rest
        self._part, self._rest = None, b""
        if part is None:
            return
        part.is_complete = True
        samples = len(rest) // SAMPLE_BYTES
        if not samples:
            return
        if len(self.waiting) >= MAX_QUEUED_FRAMES:
            self.dropped_samples += samples
            return
        frame = rest.ljust(FRAME_BYTES, b"\0")
        self.waiting.append((part, part.received_samples, samples, frame))
        part.received_samples += samples
