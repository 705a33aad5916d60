"""Relay and edge in virtual time: at a barge-in, what was sent is what is remembered.

The relay's turn, its clock and the edge's playout are the real ones; between them lies
a link that only takes time, other for each frame, and the caller's ear is at a distance
that the edge knows of.
"""

import itertools
import math
import random
from collections.abc import Callable
from typing import Any, cast

import orjson
import pytest
from hypothesis import given, strategies as st

from proto.frames import SAMPLE_BYTES, SAMPLE_RATE_HZ, DownFrame
from relay.pacer import LEAD_S, Clock, Downlink
from relay.turn import Command, FlushEdge, ToUpstream, Turn
from relay.upstream.events import AudioDelta, EventIds, ResponseCreated, ResponseDone
from tests.support.clock import HandTurnedLoop
from transceiver.playout import Playout

UPLINK_S = 0.02
"""How often the edge tells how far the caller heard."""


class Call:
    """One call's downlink, from the model's audio to the packets for the caller."""

    def __init__(self, rng: random.Random, delay_s: float, jitter_s: float) -> None:
        self.loop = HandTurnedLoop(1000.0)
        self.playout = Playout()
        self.sent: list[DownFrame] = []
        self.sent_at_flush: list[DownFrame] | None = None
        self.told: list[dict[str, Any]] = []
        self.turn = Turn(EventIds())
        self._rng, self._delay_s, self._jitter_s = rng, delay_s, jitter_s
        self._arrived_s = 0.0
        self._downlink = Downlink(
            self.turn.speech, LEAD_S, self._carry, self._frames_sent, lambda error: None
        )
        self._clock = Clock(cast("Any", self.loop), lambda late_s: None)

    def say(self, item: str, samples: int) -> None:
        """Have the model say an item, faster than real time."""
        response = f"resp_of_{item}"
        created = ResponseCreated(response, out_of_band=False)
        self._obey(self.turn.response_created(created, self.loop.now))
        delta = AudioDelta(response, item, 0, bytes(samples * SAMPLE_BYTES))
        self._obey(self.turn.audio(delta, self.loop.now))
        self._obey(self.turn.response_done(ResponseDone(response), self.loop.now))
        self._clock.wake(self._downlink)

    def barge_in(self) -> None:
        """Have the caller speak."""
        self._obey(self.turn.speech_started(self.loop.now))

    def run(self, seconds: float) -> None:
        """Let time pass; the edge tells how far the caller heard as it does."""
        steps = max(1, math.ceil(seconds / UPLINK_S))
        for _ in range(steps):
            self.loop.run_until(self.loop.now + seconds / steps)
            heard = self.playout.heard(self.loop.now)
            self._later(lambda heard=heard: self._heard(*heard))  # type: ignore[misc]  # a lambda's default has no type

    def _heard(self, talkspurt: int, samples: int) -> None:
        self._obey(self.turn.heard(talkspurt, samples, self.loop.now))

    def _frames_sent(self, now: float) -> None:
        self._obey(self.turn.frames_sent(self._downlink.end_s, now))

    def _later(self, action: Callable[[], object]) -> None:
        delay_s = self._delay_s + self._rng.uniform(0, self._jitter_s)
        self.loop.call_at(self.loop.now + delay_s, action)

    def _carry(self, frame: DownFrame) -> None:
        delay_s = self._delay_s + self._rng.uniform(0, self._jitter_s)
        self._arrived_s = max(self._arrived_s, self.loop.now + delay_s)  # in order
        self.loop.call_at(self._arrived_s, lambda: self._play(frame))

    def _play(self, frame: DownFrame) -> None:
        self.playout.push(frame, self.loop.now)
        self._send_due()

    def _send_due(self) -> None:
        self.sent += self.playout.pull(self.loop.now)
        due_s = self.playout.next_due()
        if due_s < math.inf:
            self.loop.call_at(due_s, self._send_due)

    def _flush(self, talkspurt: int) -> None:
        answer = self.playout.flush(talkspurt, self.loop.now)
        self.sent_at_flush = list(self.sent)
        self._send_due()
        self._later(lambda: self._obey(self.turn.flush_done(*answer)))

    def _obey(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case FlushEdge(talkspurt):
                    self._later(lambda: self._flush(talkspurt))
                case ToUpstream(payload):
                    self.told.append(orjson.loads(payload))
                case _:
                    pass


@given(
    seed=st.integers(0, 2**32),
    after_s=st.floats(0, 4.0),
    delay_s=st.floats(0, 0.08),
    jitter_s=st.floats(0, 0.04),
    under_way_s=st.floats(0, 0.2),
)
def test_items_are_cut_at_the_last_sample_sent(
    seed: int, after_s: float, delay_s: float, jitter_s: float, under_way_s: float
) -> None:
    rng = random.Random(seed)
    call = Call(rng, delay_s, jitter_s)
    call.playout.under_way_s = under_way_s
    lengths = {f"item_{i}": rng.randrange(1, SAMPLE_RATE_HZ) for i in range(4)}
    for item, samples in lengths.items():
        call.say(item, samples)
    call.run(after_s)
    call.barge_in()
    call.run(1.0)
    sent = call.sent if call.sent_at_flush is None else call.sent_at_flush
    expected = cuts(lengths, sum(len(one.payload) for one in sent))
    for event in call.told:
        if event["type"] == "conversation.item.delete":
            assert expected.pop(event["item_id"]) == 0
        else:
            assert expected.pop(event["item_id"]) == event["audio_end_ms"]
    assert not expected


def cuts(lengths: dict[str, int], sent_bytes: int) -> dict[str, int]:
    """Return item -> ms, of the items that were not sent to their end."""
    sent, found = sent_bytes // SAMPLE_BYTES, {}
    for item, samples in lengths.items():
        padded = -(-samples // 480) * 480
        if sent < padded:
            found[item] = min(max(sent, 0), samples) // 24
        sent -= padded
    return found


def test_a_reply_that_was_sent_to_its_end_is_not_cut() -> None:
    call = Call(random.Random(1), 0.01, 0.0)
    call.playout.under_way_s = 0.1
    call.say("item", SAMPLE_RATE_HZ)
    call.run(1.03)
    assert sum(len(one.payload) for one in call.sent) == SAMPLE_RATE_HZ * SAMPLE_BYTES
    call.barge_in()
    call.run(1.0)
    assert call.told == []


@pytest.mark.parametrize("after_s", [0.0, 0.005])
def test_what_is_interrupted_before_the_edge_has_it_is_deleted(after_s: float) -> None:
    call = Call(random.Random(1), 0.04, 0.0)
    call.say("first", SAMPLE_RATE_HZ // 2)
    call.run(2.0)
    call.say("item", SAMPLE_RATE_HZ)
    call.run(after_s)
    call._delay_s = 0.0  # the flush overtakes all that is on its way
    call.barge_in()
    call.run(1.0)
    assert [(event["type"], event["item_id"]) for event in call.told] == [
        ("conversation.item.delete", "item")
    ]


def test_positions_are_told_apart_by_talkspurt() -> None:
    call = Call(random.Random(1), 0.01, 0.0)
    for number, said in enumerate(itertools.repeat("item", 3)):
        call.say(f"{said}_{number}", SAMPLE_RATE_HZ)
        call.run(0.51)
        call.barge_in()
        call.run(0.7)
    assert [event["item_id"] for event in call.told] == ["item_0", "item_1", "item_2"]
    assert {event["audio_end_ms"] for event in call.told} <= {500, 520, 540}
