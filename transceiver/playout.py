"""When each frame of the model's audio is sent to one caller, and what was heard. Pure.

The relay schedules: each frame says how long after its arrival it is due. A talkspurt
is played against one base time, the earliest any of its frames asks for:

    base = min over its frames of (arrival + lead - position)      due = base + position

A frame delayed on the link is therefore due when it always was, or at once if that is
over; a fast one moves the rest earlier; no delay ever sticks. The next talkspurt has a
base of its own, but begins no earlier than the last one ends.

A frame that is missing when it is due is skipped: the next one is sent when it is due
itself. To the caller that looks like a packet lost, and its jitter buffer conceals it
from the sound it has just played, better than could be done here.

That is also what it does when packets just stop: Chromium goes on with a voice that was
cut off for up to 0.2 s (measured). So what was flushed while it sounded ends in a hush:
a few frames of silence, which no caller counts as heard and any new talkspurt replaces.

What was sent cannot be called back: it is under way, or waits in the caller's jitter
buffer, and is played to its end before the hush. So a flush answers with all that was
sent. Elsewhere what is heard is told as it goes on, in real time.
"""

import math
from collections import deque

from proto.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, DownFrame
from transceiver.sound import PCM, Sound

MAX_WAITING_FRAMES = 100
"""2 s of 20 ms frames; a frame that comes when it is full is dropped."""

MAX_LEAD_MS = 2_000
"""A longer lead is taken as this one."""

MAX_POSITION_SAMPLES = 1 << 40
"""Over a year into a talkspurt: whoever says so has miscounted."""

HUSH_FRAMES = 8
"""160 ms of silence after a cut: as much as a browser's jitter buffer may hold."""

SOUNDING_S = 0.06
"""A talkspurt that ended longer ago is over: there is nothing to go on with."""

EARLY_S = 0.0005
"""Seconds a frame may be sent early, rather than wait for a timer of 1 ms grain."""


class _Talkspurt:
    """When its first sample is due, and how far it has come in."""

    __slots__ = ("base_s", "number", "received_samples")

    def __init__(self, number: int) -> None:
        self.number = number
        self.base_s = math.inf
        self.received_samples = 0


class _Playhead:
    """How far the caller's ear has come, if it hears without a pause what was sent.

    It starts `under_way_s` after the first frame was sent, goes on in real time, waits
    at the end of what was sent, and is never past it.
    """

    __slots__ = ("_least", "_samples", "_since", "sent_samples", "talkspurt")

    def __init__(self) -> None:
        self.talkspurt = 0
        self._samples = 0
        self._since = 0.0
        self.sent_samples = 0
        self._least = 0

    def sent(
        self,
        talkspurt: int,
        position: int,
        samples: int,
        now: float,
        under_way_s: float,
    ) -> None:
        """Note a frame just sent, of so many samples."""
        if talkspurt != self.talkspurt:
            self.talkspurt = talkspurt
            self._samples, self._since, self._least = position, now, 0
        elif self.sent_samples <= self._samples + (now - self._since) * SAMPLE_RATE_HZ:
            self._least = self.heard(now, under_way_s)
            self._samples, self._since = position, now
        self.sent_samples = position + samples

    def heard(self, now: float, under_way_s: float) -> int:
        """Return how many samples of the talkspurt have been heard."""
        elapsed_s = now - self._since - under_way_s
        samples = self._samples + int(elapsed_s * SAMPLE_RATE_HZ)
        if samples >= self.sent_samples:  # as min and max would, at a tenth of the cost
            return self.sent_samples
        return samples if samples > self._least else self._least


_Entry = tuple[_Talkspurt, int, int, DownFrame]
"""A frame that waits, behind its position and how many samples it is."""


class Playout:
    """One call's queue of frames; at most 2 s, beyond that new frames are dropped.

    Args:
        sound: What the frames carry.

    Attributes:
        under_way_s: Seconds from sending to hearing, as far as they are known.
        dropped: Frames not queued: flushed before, out of order, nowhere, or no room.
        missing: Frames the link has given up.
    """

    __slots__ = (
        "_end_s",
        "_floor_s",
        "_flushed",
        "_newest",
        "_playhead",
        "_playing",
        "_queue",
        "_samples",
        "_silence",
        "dropped",
        "missing",
        "under_way_s",
    )

    def __init__(self, sound: Sound = PCM) -> None:
        self.under_way_s = 0.0
        self._samples = sound.samples
        self._silence = sound.silence
        self.dropped = 0
        self.missing = 0
        self._queue: deque[_Entry] = deque()
        self._newest = _Talkspurt(0)
        self._playing = self._newest
        self._flushed = 0
        self._playhead = _Playhead()
        self._floor_s = -math.inf  # the least base of the talkspurt playing
        self._end_s = -math.inf  # when the last frame sent is over

    def push(self, frame: DownFrame, now: float) -> None:
        """Queue a frame that has just arrived."""
        number, position, lead_ms, payload = frame
        talkspurt = self._newest
        if number > talkspurt.number:
            talkspurt = _Talkspurt(number)
            self._keep_unflushed()  # no hush before what is said next
        samples = self._samples(payload)
        if (
            not samples
            or number <= self._flushed
            or number != talkspurt.number
            or not talkspurt.received_samples <= position <= MAX_POSITION_SAMPLES
            or len(self._queue) >= MAX_WAITING_FRAMES
        ):
            self.dropped += 1
            return
        lead_s = lead_ms / 1000 if lead_ms < MAX_LEAD_MS else MAX_LEAD_MS / 1000
        base_s = now + lead_s - position / SAMPLE_RATE_HZ
        if base_s < talkspurt.base_s:
            talkspurt.base_s = base_s
        talkspurt.received_samples = position + samples
        self._newest = talkspurt
        self._queue.append((talkspurt, position, samples, frame))

    def lost(self, count: int) -> None:
        """Note that `count` frames will never come; their time passes unfilled."""
        self.missing += count

    def next_due(self) -> float:
        """Return when the next frame is to be sent, seconds; infinite: none waits."""
        if not self._queue:
            return math.inf
        talkspurt, position, _, _ = self._queue[0]
        return self._due(talkspurt, position)

    @property
    def waiting_frames(self) -> int:
        """Frames in the queue."""
        return len(self._queue)

    def pull(self, now: float) -> list[DownFrame]:
        """Return the frames to send now, in order."""
        due: list[DownFrame] = []
        queue, horizon = self._queue, now + EARLY_S
        while queue:
            talkspurt, position, samples, frame = queue[0]
            due_s = self._due(talkspurt, position)
            if due_s > horizon:
                break
            queue.popleft()
            if talkspurt is not self._playing:
                self._playing = talkspurt
                self._floor_s = self._end_s - position / SAMPLE_RATE_HZ
            self._end_s = due_s + samples / SAMPLE_RATE_HZ
            number = talkspurt.number
            if number > self._flushed:
                self._playhead.sent(number, position, samples, now, self.under_way_s)
            due.append(frame)
        return due

    def flush(self, talkspurt: int, now: float) -> tuple[int, int]:
        """Drop all frames of talkspurts up to this one, those yet to come included.

        Returns:
            The talkspurt last sent (0: none) and how many samples of it will have been
            heard when silence comes: all that were sent.
        """
        self._flushed = max(self._flushed, talkspurt)
        self._keep_unflushed()
        playing_flushed = 0 < self._playing.number <= self._flushed
        if playing_flushed and not self._queue and now - self._end_s < SOUNDING_S:
            self._hush()
        return self._playhead.talkspurt, self._playhead.sent_samples

    def heard(self, now: float) -> tuple[int, int]:
        """Return the talkspurt last played and how many samples of it were heard."""
        playhead = self._playhead
        return playhead.talkspurt, playhead.heard(now, self.under_way_s)

    def unheard_s(self, packets_behind: int, at: float) -> float | None:
        """Return how much the caller had got, and is not taken to have heard, seconds.

        What is above the depth of its jitter buffer is our error; so is all below 0.

        Args:
            packets_behind: How many the newest it had got was behind the last one sent.
            at: When that was; None is known of a time when nothing sounded.
        """
        arrived = self._playhead.sent_samples - packets_behind * FRAME_SAMPLES
        if arrived <= 0 or at >= self._end_s:
            return None
        heard = self._playhead.heard(at, self.under_way_s)
        return (arrived - heard) / SAMPLE_RATE_HZ

    def _keep_unflushed(self) -> None:
        kept = [item for item in self._queue if item[0].number > self._flushed]
        self._queue = deque(kept)

    def _hush(self) -> None:
        talkspurt, position = self._playing, self._playhead.sent_samples
        for _ in range(HUSH_FRAMES):
            silence = DownFrame(talkspurt.number, position, 0, self._silence)
            self._queue.append((talkspurt, position, FRAME_SAMPLES, silence))
            position += FRAME_SAMPLES

    def _due(self, talkspurt: _Talkspurt, position: int) -> float:
        base_s, position_s = talkspurt.base_s, position / SAMPLE_RATE_HZ
        if talkspurt is not self._playing:
            return max(base_s + position_s, self._end_s)
        if base_s < self._floor_s:
            base_s = self._floor_s
        return base_s + position_s
