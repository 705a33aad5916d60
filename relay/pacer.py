"""HOT PATH: one 20 ms clock that sends the downlink of all sessions.

The model speaks faster than real time. A talkspurt's first frame leaves at once and is
due at once; each next frame is due 20 ms later and leaves up to 160 ms before it is
due. So the first sound waits for nothing, the burst behind it builds the lead up in one
go, repair on the link costs no delay while it fits the lead, and a barge-in throws away
only the lead. When a frame is there only after it was due, the caller's ear has run
dry: what follows is a new talkspurt.

A live source (lead 0) is not held back: its frames leave as they come.

Deadlines are absolute: a late tick sends what it owes, and nothing drifts. A session
with nothing to say is not visited, and with no session to visit the clock stands still.
"""

import asyncio
from collections.abc import Callable

from proto.frames import FRAME_MS, DownFrame
from relay.audio import Speech
from relay.nobody import nobody
from relay.silence import SilenceClock

FRAME_S = FRAME_MS / 1000

LEAD_S = 0.160
"""Seconds a frame leaves before it is due: one retransmission at 80 ms round trip, with
as much again for jitter, and no more to throw away at a barge-in."""

_SLACK_S = 0.001
"""The loop's clock counts in milliseconds: nothing is early or late by less."""

LIVE_LEAD_S = 0.0
"""Lead of a source that speaks in real time."""

LIVE_GAP_S = 0.1
"""Seconds a live source may be late before what follows is a new talkspurt."""


class Downlink:
    """When each frame of one session's speech leaves.

    Args:
        speech: Where the frames are.
        lead_s: How long before it is due a frame leaves; 0 for a live source.
        send: Sends one frame.
        on_sent: Called with `now` after frames have left.
        on_failed: Given what it raised, when the clock has let go of it for that.

    Attributes:
        end_s: When the last frame sent has been played, at the earliest.
    """

    __slots__ = (
        "_grace_s",
        "_is_live",
        "_lead_s",
        "_on_sent",
        "_send",
        "_speech",
        "end_s",
        "on_failed",
        "sent_frames",
    )

    def __init__(
        self,
        speech: Speech,
        lead_s: float,
        send: Callable[[DownFrame], None],
        on_sent: Callable[[float], None],
        on_failed: Callable[[Exception], None],
    ) -> None:
        self._speech = speech
        self._lead_s = lead_s + _SLACK_S
        self._is_live = lead_s == LIVE_LEAD_S
        self._grace_s = LIVE_GAP_S if self._is_live else _SLACK_S
        self._send = send
        self._on_sent = on_sent
        self.on_failed = on_failed
        self.end_s = 0.0
        self.sent_frames = 0

    def pump(self, now: float) -> bool:
        """Send what may leave now; return whether frames are left for a later tick."""
        speech, due_s = self._speech, self.end_s
        waiting = speech.waiting
        if due_s - now > self._lead_s and speech.in_talkspurt and not self._is_live:
            return bool(waiting)
        send, before = self._send, self.sent_frames
        while waiting:
            ahead_s = due_s - now
            if not speech.in_talkspurt or ahead_s < -self._grace_s:
                speech.begin_talkspurt()
                due_s, ahead_s = now, 0.0
            elif self._is_live:
                due_s, ahead_s = now, 0.0
            elif ahead_s > self._lead_s:
                break
            send(speech.take(round(ahead_s * 1000) if ahead_s > 0 else 0))
            due_s += FRAME_S
            self.sent_frames += 1
        self.end_s = due_s
        if self.sent_frames != before:
            self._on_sent(now)
        return bool(waiting)

    def close(self) -> None:
        """Tell nobody any more."""
        self._on_sent = self.on_failed = nobody


class Clock:
    """The one clock: ticks every 20 ms while a session has frames waiting.

    Args:
        loop: Tells the time and wakes the clock.
        on_tick: Called at each tick with how many seconds late it is.

    Attributes:
        silence: The uplink's clock.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_tick: Callable[[float], None]
    ) -> None:
        self.silence = SilenceClock(loop)
        self._loop = loop
        self._on_tick = on_tick
        self._waiting: dict[Downlink, None] = {}
        self._origin_s = loop.time()
        self._deadline_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting_count(self) -> int:
        """Sessions with frames waiting."""
        return len(self._waiting)

    def wake(self, downlink: Downlink) -> None:
        """Send what a session may send now, and the rest by the tick."""
        now = self._loop.time()
        if downlink.pump(now):
            self._waiting[downlink] = None
            if self._timer is None:
                self._arm(now)

    def remove(self, downlink: Downlink) -> None:
        """Forget a session."""
        self._waiting.pop(downlink, None)

    def close(self) -> None:
        """Stop for good."""
        self.silence.close()
        self._waiting.clear()
        self._disarm()

    def _arm(self, now: float) -> None:
        # A tick early by the clock's rounding must not get the same deadline again.
        ticks = int((now + _SLACK_S - self._origin_s) / FRAME_S) + 1
        self._deadline_s = self._origin_s + ticks * FRAME_S
        self._timer = self._loop.call_at(self._deadline_s, self._tick)

    def _disarm(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        now = self._loop.time()
        self._disarm()
        self._on_tick(now - self._deadline_s)
        self._arm(now)
        for downlink in tuple(self._waiting):
            try:
                has_more = downlink.pump(now)
            except Exception as error:  # noqa: BLE001  # whose it is logs it, and the others have their tick
                has_more = False
                downlink.on_failed(error)
            if not has_more:
                self._waiting.pop(downlink, None)
        if not self._waiting:
            self._disarm()
