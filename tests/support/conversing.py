"""Many conversations over one link in virtual time, and what became of each frame.

The caller's microphone is always open: a frame each 20 ms. The model answers in
talkspurts, each there all at once, which the relay's own clock sends (`relay.pacer`):
the first frame is due when it arrives, and the lead of the next ones grows from there.

A downlink frame is in time when it is there as it falls due: at its position after the
talkspurt's first frame would have arrived. An uplink frame is in time when the link has
not given it up, which it does at a bound of its own (PROTOCOL.md 6).
"""

import asyncio
import collections
import dataclasses
import math
from collections.abc import Callable
from typing import cast

from proto.audio import UPLINK_WAIT_MAX_S
from proto.frames import FRAME_BYTES, FRAME_SAMPLES, DownFrame, UpFrame
from proto.session import Session
from relay.audio import Speech
from relay.pacer import FRAME_S, LEAD_S, Clock, Downlink
from relay.upstream.events import AudioDelta
from tests.support.netem import Lab

PCM = bytes(FRAME_BYTES)

SPEECH_S, PAUSE_S = 5.0, 1.0
"""Of the model: a reply of a few sentences, and the next."""

_GRAIN_S = 1e-4
"""Delays are counted to 0.1 ms; a frame so little late is in time."""


@dataclasses.dataclass
class Tally:
    """What became of the frames of one direction of all conversations.

    `delays` counts the frames whose own datagram arrived by how much longer they waited
    for others, in steps of 0.1 ms.
    """

    said: int = 0
    in_time: int = 0
    late: int = 0
    given_up: int = 0
    delays: collections.Counter[int] = dataclasses.field(
        default_factory=collections.Counter
    )

    @property
    def share_in_time(self) -> float:
        """Part of all frames, 0 to 1; not a number: none was said."""
        return self.in_time / self.said if self.said else math.nan

    @property
    def share_heard(self) -> float:
        """Part of all frames that came at all, 0 to 1; not a number: none was said."""
        return (self.in_time + self.late) / self.said if self.said else math.nan

    def delay_s(self, share: float) -> float:
        """Return a quantile of the delay added to frames that were not lost."""
        left = share * self.delays.total()
        for steps in sorted(self.delays):
            left -= self.delays[steps]
            if left <= 0:
                return steps * _GRAIN_S
        return 0.0


class _Voice:
    """A frame sink of one direction of one session, that knows what was said."""

    def __init__(self, lab: Lab, tally: Tally) -> None:
        self.last_heard_delay_s = 0.0
        self._lab = lab
        self._tally = tally
        self._pending: dict[tuple[int, int], tuple[float, float]] = {}
        self._newest = (0, -1)

    def said(self, talkspurt: int, position: int, due: float, arrives: float) -> None:
        self._tally.said += 1
        self._pending[talkspurt, position] = (due, arrives)

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        talkspurt = frame.talkspurt if isinstance(frame, DownFrame) else 0
        place = talkspurt, frame.position_samples
        assert place > self._newest, "a frame out of order, or twice"
        self._newest = place
        now, tally = self._lab.now, self._tally
        due, arrived = self._pending.pop(place)
        if now <= due + _GRAIN_S:
            tally.in_time += 1
        else:
            tally.late += 1
        if arrived < math.inf:
            self.last_heard_delay_s = now - arrived
            tally.delays[round((now - arrived) / _GRAIN_S)] += 1

    def failed(self, error: Exception) -> None:
        raise error

    def frames_lost(self, count: int) -> None:
        self._tally.given_up += count


class _LabLoop:
    """What the relay's clock asks of an event loop, in the lab's time."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def time(self) -> float:
        return self._lab.now

    def call_at(self, when: float, call: Callable[[], None]) -> "_Timer":
        timer = _Timer(call)
        self._lab.at(when, timer.fire)
        return timer


class _Timer:
    def __init__(self, call: Callable[[], None]) -> None:
        self._call: Callable[[], None] | None = call

    def fire(self) -> None:
        if self._call is not None:
            self._call()

    def cancel(self) -> None:
        self._call = None


class Conversations:
    """Conversations on a lab whose link is up, from now until told to stop.

    Args:
        lab: Where they are held.
        count: How many sessions to open.
        lead_s: How far ahead of the caller's ear the relay sends at most.
        speech_s: How long a talkspurt of the model is.
    """

    def __init__(
        self,
        lab: Lab,
        count: int,
        lead_s: float = LEAD_S,
        speech_s: float = SPEECH_S,
    ) -> None:
        self.up, self.down = Tally(), Tally()
        self._lab = lab
        self._lead_s = lead_s
        self._speech_s = speech_s
        self._is_over = False
        loop = cast(asyncio.AbstractEventLoop, _LabLoop(lab))
        self._clock = Clock(loop, lambda lateness_s: None)
        self._link = lab.relay.link
        self.sessions = lab.open(count)
        self._voices: list[_Voice] = []
        for session in self.sessions:
            self._begin(session)

    def hold(self, seconds: float, passed: Callable[[], None] = lambda: None) -> None:
        """Let them talk for so long, then fall silent; `passed` after each second."""
        for _ in range(round(seconds)):
            self._lab.run(1.0)
            passed()
        self._is_over = True
        self._lab.run(1.0)

    @property
    def standing_delay_s(self) -> float:
        """The longest that the last frame of any voice had to wait for others."""
        return max(voice.last_heard_delay_s for voice in self._voices)

    def _begin(self, session: Session) -> None:
        lab = self._lab
        up, down = _Voice(lab, self.up), _Voice(lab, self.down)
        self._voices += (up, down)
        peer = lab.peer(session)
        peer.audio.sink, session.audio.sink = up, down
        self._speak_up(session, up)
        self._speak_down(peer, down)

    def _speak_up(self, session: Session, voice: _Voice) -> None:
        lab = self._lab
        base = lab.now + lab.rng.random() * FRAME_S
        path = lab.edge.path
        wait_s = path.delay_s + path.jitter_s + FRAME_S + UPLINK_WAIT_MAX_S

        def speak(number: int) -> None:
            if self._is_over:
                return
            frame = UpFrame(number * FRAME_SAMPLES, 0, 0, PCM)
            arrives = lab.edge.say(session, frame)
            voice.said(0, frame.position_samples, lab.now + wait_s, arrives)
            lab.at(base + (number + 1) * FRAME_S, lambda: speak(number + 1))

        lab.at(base, lambda: speak(0))

    def _speak_down(self, peer: Session, voice: _Voice) -> None:
        lab, speech = self._lab, Speech()
        began: dict[int, float] = {}

        def send(frame: DownFrame) -> None:
            if self._is_over or self._link not in lab.relay.links.values():
                return
            began.setdefault(frame.talkspurt, lab.now)
            position = frame.position_samples
            due = began[frame.talkspurt] + lab.relay.path.delay_s
            due += position / FRAME_SAMPLES * FRAME_S
            arrives = lab.relay.say(peer, frame)
            voice.said(frame.talkspurt, position, due, arrives)

        downlink = Downlink(
            speech, self._lead_s, send, lambda now: None, lambda error: None
        )
        frames = round(self._speech_s / FRAME_S)

        def answer() -> None:
            if self._is_over:
                return
            speech.cut()
            speech.push(AudioDelta("response", "item", 0, PCM * frames))
            self._clock.wake(downlink)
            lab.at(lab.now + self._speech_s + PAUSE_S, answer)

        lab.at(lab.now + lab.rng.random() * (self._speech_s + PAUSE_S), answer)
