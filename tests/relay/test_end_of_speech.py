"""When playback is told as stopped, and when the caller's ear came to the end."""

import heapq
import itertools
import random
from collections.abc import Callable

import pytest

from proto.frames import FRAME_MS, DownFrame
from relay.pacer import LEAD_S, Downlink
from relay.turn import PLAYOUT_GRACE_S, Command, ToClient, Turn
from relay.upstream.events import AudioDelta, EventIds, ResponseCreated, ResponseDone
from transceiver.playout import Playout

FRAME_S = FRAME_MS / 1000
BYTES_PER_S = 48_000
COMFORT_S = 0.4
"""Between the frames of a silent caller (Opus DTX)."""


class Conversation:
    """A relay's turn and an edge's playout, a link's delay apart.

    Args:
        seed: Of the delays.
        step_s: Between the caller's frames.
        jitter_s: By which each datagram may be later than 40 ms.
    """

    def __init__(self, seed: int, step_s: float, jitter_s: float) -> None:
        self.now = 0.0
        self.stopped_at: list[float] = []
        self.ended_at = 0.0
        """When the caller's ear had the last sample that was sent."""
        self._rng = random.Random(seed)
        self._jitter_s = jitter_s
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._turn = Turn(EventIds())
        self._edge = Playout()
        self._edge.under_way_s = 0.03
        self._latest = {"up": 0.0, "down": 0.0}
        self._downlink = Downlink(
            self._turn.speech,
            LEAD_S,
            send=lambda frame: self._cross("down", lambda: self._arrive(frame)),
            on_sent=lambda now: self._do(
                self._turn.frames_sent(self._downlink.end_s, now)
            ),
            on_failed=lambda _: None,
        )
        self._every(FRAME_S, lambda: self._downlink.pump(self.now))
        self._every(0.001, self._play)
        self._every(step_s, self._speak)

    def reply(self, response: str, seconds: float) -> None:
        """Have the model say something, faster than it is spoken."""
        self._do(self._turn.response_created(ResponseCreated(response, False), 0.0))
        self.say(response, int(seconds / FRAME_S))
        self._do(self._turn.response_done(ResponseDone(response), self.now))

    def say(self, response: str, frames: int) -> None:
        """Have the model say so many frames, and tell of them nothing else."""
        pcm = bytes(frames * int(FRAME_S * BYTES_PER_S))
        self._do(self._turn.audio(AudioDelta(response, "item", 0, pcm), self.now))

    def run_for(self, seconds: float) -> None:
        """Let time pass."""
        end_s = self.now + seconds
        while self._due[0][0] <= end_s:
            self.now, _, call = heapq.heappop(self._due)
            call()
            due_s = self._turn.next_timeout()
            if due_s is not None and self.now >= due_s:
                self._do(self._turn.handle_timeout(self.now))
        self.now = end_s

    def _at(self, when: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._due, (when, next(self._order), call))

    def _every(self, step_s: float, call: Callable[[], object]) -> None:
        def again() -> None:
            call()
            self._at(self.now + step_s, again)

        self._at(self.now + self._rng.uniform(0, step_s), again)

    def _cross(self, way: str, call: Callable[[], None]) -> None:
        arrives_at = self.now + 0.04 + self._rng.uniform(0, self._jitter_s)
        self._latest[way] = max(arrives_at, self._latest[way])
        self._at(self._latest[way], call)

    def _arrive(self, frame: DownFrame) -> None:
        self._edge.push(frame, self.now)

    def _play(self) -> None:
        if self._edge.pull(self.now):
            self.ended_at = self.now + FRAME_S + self._edge.under_way_s

    def _speak(self) -> None:
        heard = self._edge.heard(self.now)
        self._cross("up", lambda: self._do(self._turn.heard(*heard, self.now)))

    def _do(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, ToClient) and b".stopped" in command.payload:
                self.stopped_at.append(self.now)


@pytest.mark.parametrize("step_s", [FRAME_S, COMFORT_S], ids=["speaking", "silent"])
@pytest.mark.parametrize("jitter_s", [0.0, 0.02, 0.06])
@pytest.mark.parametrize("seconds", [0.1, 0.5, 3.0])
def test_playback_stops_when_the_ear_has_come_to_the_end(
    step_s: float, jitter_s: float, seconds: float
) -> None:
    for seed in range(4):
        scene = Conversation(seed, step_s, jitter_s)
        scene.run_for(1.0)
        scene.reply("resp_1", 3.0)  # how far behind the ear is, is told meanwhile
        scene.run_for(5.0)
        for response in ("resp_2", "resp_3"):
            scene.reply(response, seconds)
            scene.run_for(seconds + 1.5)
            late_s = scene.stopped_at[-1] - scene.ended_at
            assert -0.005 <= late_s <= 0.04 + 3 * jitter_s + 0.02
        assert len(scene.stopped_at) == 3


def test_what_may_go_on_is_given_the_whole_grace_and_what_is_done_is_not() -> None:
    turn = Turn(EventIds())
    pcm = bytes(2 * int(FRAME_S * BYTES_PER_S))
    turn.audio(AudioDelta("resp", "item", 0, pcm), now=0.0)
    turn.speech.begin_talkspurt()
    frames = [turn.speech.take(0), turn.speech.take(0)]
    turn.frames_sent(end_s=2 * FRAME_S, now=0.0)
    turn.heard(frames[0].talkspurt, frames[1].position_samples, FRAME_S + 0.01)
    assert turn.played_by_s == 2 * FRAME_S + PLAYOUT_GRACE_S
    turn.response_done(ResponseDone("resp"), FRAME_S + 0.01)
    assert turn.played_by_s == pytest.approx(2 * FRAME_S + 0.01)
