"""A call whose caller falls silent, in virtual time: turns end, nothing is spent."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from codec.g711 import Narrow
from codec.opus import Encoder
from proto.frames import FRAME_BYTES, FRAME_MS, FRAME_SAMPLES, SAMPLE_RATE_HZ, UpFrame
from proto.payload import Payload
from relay.engine.ports import HOP_SAMPLES
from relay.media import Media, Owner
from relay.pacer import Clock
from relay.silence import TICK_S, TICKS_PER_ROUND, SilenceClock, Uplink
from relay.timeline import ENOUGH_SAMPLES, STEP_SAMPLES
from relay.upstream import events
from relay.upstream.events import EventIds
from tests.engine.talk import QUIET, VOICED, Talk
from tests.relay.fakes import FakeLink, FakeUpstream
from tests.support import clock as virtual
from tests.transceiver.leg import level, voice

FRAME_S = FRAME_MS / 1000
ROUND_S = TICK_S * TICKS_PER_ROUND
HOP_S = HOP_SAMPLES / SAMPLE_RATE_HZ
STARTED, STOPPED = "speech_started", "speech_stopped"
AUDIBLE = 1000.0
PAYLOADS = [Payload.PCM, Payload.PCMU, Payload.PCMA, Payload.OPUS]


class EngineUpstream(FakeUpstream):
    """The built-in engine's own turn detection; loud is voiced."""

    def __init__(self) -> None:
        super().__init__()
        self.talk = Talk()
        self.turns: list[tuple[str, float]] = []
        self.appends = 0
        self.media: Media | None = None
        self._rest = np.zeros(0, np.int16)

    def append(self, pcm: bytes) -> None:
        super().append(pcm)
        self.appends += 1
        self._hear(np.frombuffer(pcm, "<i2").astype(np.int16))

    def append_silence(self, samples: int) -> None:
        super().append_silence(samples)
        self.appends += 1
        self._hear(np.zeros(samples, np.int16))

    def _hear(self, pcm: Any) -> None:
        talk, now = self.talk, asyncio.get_running_loop().time()
        self._rest = np.concatenate([self._rest, pcm])
        while len(self._rest) >= HOP_SAMPLES:
            hop, self._rest = np.split(self._rest, [HOP_SAMPLES])
            talk.append(hop)
            talk.core.take_unvoiced()
            loud = level(hop.tobytes()) > AUDIBLE
            talk.core.voice([VOICED if loud else QUIET], now)
            for event in talk.drain():
                kind = event["type"].removeprefix("input_audio_buffer.")
                if kind in {STARTED, STOPPED}:
                    self.turns.append((kind, now))
                if kind == STARTED and self.media:
                    self.media.follow(events.SpeechStarted())


@dataclass
class Scene:
    """A call's uplink, and a caller who speaks in real time."""

    media: Media
    upstream: EngineUpstream
    clock: Clock
    payload: Payload
    position: int = 0
    spoke_until_s: float = 0.0
    _encoder: Encoder = field(default_factory=Encoder)

    def encode(self, pcm: bytes) -> bytes:
        if self.payload is Payload.OPUS:
            return self._encoder.encode(pcm)
        if self.payload is Payload.PCM:
            return pcm
        return Narrow(self.payload).encode(pcm)

    def frame(self, pcm: bytes) -> None:
        self.media.frame_received(UpFrame(self.position, 0, 0, self.encode(pcm)))
        self.position += FRAME_SAMPLES

    async def speak(self, frames: int) -> None:
        for _ in range(frames):
            self.frame(voice(self.position, FRAME_SAMPLES))
            self.spoke_until_s = asyncio.get_running_loop().time()
            await asyncio.sleep(FRAME_S)

    async def be_quiet(self, frames: int) -> None:
        """Send silence, as without discontinuous transmission."""
        for _ in range(frames):
            self.frame(bytes(FRAME_BYTES))
            await asyncio.sleep(FRAME_S)

    async def pause(self, seconds: float) -> None:
        """Send a comfort packet each 400 ms."""
        for number in range(round(seconds / FRAME_S)):
            if number % 20 == 19:
                self.frame(bytes(FRAME_BYTES))
            else:
                self.position += FRAME_SAMPLES
            await asyncio.sleep(FRAME_S)


def act(
    play: Callable[[Scene], Awaitable[None]], payload: Payload = Payload.PCM
) -> EngineUpstream:
    """Have a scene played in virtual time; return who heard it."""

    async def main() -> EngineUpstream:
        clock = Clock(asyncio.get_running_loop(), lambda late_s: None)
        link, upstream = FakeLink(), EngineUpstream()
        owner = Owner(tell=lambda payload: None, failed=lambda error: None)
        media = Media(link, upstream, clock, EventIds(), owner, payload)
        upstream.media = media
        await play(Scene(media, upstream, clock, payload))
        media.close()
        assert clock.silence.watched_count == 0
        clock.close()
        return upstream

    return virtual.run(main())


async def stop(scene: Scene) -> None:
    """Speak, then send nothing more for good."""
    await scene.speak(50)
    await asyncio.sleep(60.0)


async def speak_and_wait(scene: Scene) -> None:
    """Speak, then be silent as a microphone that stays open."""
    await scene.speak(50)
    await scene.be_quiet(100)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_turn_ends_though_the_callers_audio_stops_for_good(payload: Payload) -> None:
    open_mic, stopped = act(speak_and_wait, payload), act(stop, payload)
    assert [kind for kind, _ in stopped.turns] == [STARTED, STOPPED]
    (_, ended), (_, usual) = stopped.turns[1], open_mic.turns[1]
    assert usual - HOP_S <= ended <= usual + ROUND_S + HOP_S


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_turn_ends_in_time_between_comfort_packets(payload: Payload) -> None:
    async def pause(scene: Scene) -> None:
        await scene.speak(50)
        await scene.be_quiet(10)  # so long an encoder waits before it stops sending
        await scene.pause(5.0)
        await scene.speak(50)
        await scene.pause(5.0)

    open_mic, pausing = act(speak_and_wait, payload), act(pause, payload)
    assert [kind for kind, _ in pausing.turns] == [STARTED, STOPPED] * 2
    assert pausing.turns[1][1] <= open_mic.turns[1][1] + ROUND_S + HOP_S


def test_what_a_stall_held_up_is_heard_whole() -> None:
    async def stall(scene: Scene) -> None:
        await scene.speak(50)
        await asyncio.sleep(0.3)
        for _ in range(15):
            scene.frame(voice(scene.position, FRAME_SAMPLES))
        await scene.speak(50)
        await asyncio.sleep(20.0)

    heard = bytes(act(stall).heard)
    said = b"".join(
        voice(n * FRAME_SAMPLES, FRAME_SAMPLES) for n in range(50 + 15 + 50)
    )
    first = 50 * FRAME_BYTES
    assert heard[:first] == said[:first]
    assert said[first:] in heard[first:]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_long_silence_costs_nothing(payload: Payload) -> None:
    appends: list[int] = []

    async def stay(scene: Scene) -> None:
        await scene.speak(50)
        await asyncio.sleep(15.0)
        assert scene.clock.silence.watched_count == 0
        appends.append(scene.upstream.appends)
        await asyncio.sleep(3600.0)
        appends.append(scene.upstream.appends)

    silence = len(act(stay, payload).heard) - 50 * FRAME_BYTES
    assert silence <= 2 * (ENOUGH_SAMPLES + STEP_SAMPLES)
    assert appends[0] == appends[1]
    assert appends[0] - 50 <= 80


def test_a_model_that_waits_for_idleness_hears_it_for_as_long_as_it_takes() -> None:
    detection = {"type": "server_vad", "idle_timeout_ms": 30_000}
    session = {"audio": {"input": {"turn_detection": detection}}}

    async def stay(scene: Scene) -> None:
        await scene.speak(50)
        await asyncio.sleep(20.0)
        configured = events.SessionConfigured(interrupts=True, session=session)
        scene.media.follow(configured)
        before = len(scene.upstream.heard)
        await asyncio.sleep(300.0)
        heard_s = (len(scene.upstream.heard) - before) / 2 / SAMPLE_RATE_HZ
        assert 299.0 <= heard_s <= 303.0
        scene.media.follow(events.SessionConfigured(interrupts=True, session={}))
        assert scene.clock.silence.watched_count == 1

    act(stay)


def test_opus_that_stops_is_not_made_up_twice() -> None:
    async def pause(scene: Scene) -> None:
        await scene.speak(50)
        await scene.pause(2.0)
        assert scene.media.traffic().packets_concealed == 0

    act(pause, Payload.OPUS)


class Visits:
    """Sessions on a clock that is turned by hand."""

    def __init__(self) -> None:
        self.loop = virtual.HandTurnedLoop()
        self.clock = SilenceClock(self.loop)  # type: ignore[arg-type]  # part of a loop
        self.told: list[tuple[float, int]] = []
        self.failures = 0
        self.raises = False

    def uplink(self) -> Uplink:
        return Uplink(self.clock, self._tell, self._fail)

    def _tell(self, samples: int) -> None:
        if self.raises:
            self.raises = False
            raise ValueError("a fault")
        self.told.append((self.loop.now, samples))

    def _fail(self, _: Exception) -> None:
        self.failures += 1


def test_with_no_session_to_visit_the_clock_stands_still() -> None:
    visits = Visits()
    uplink = visits.uplink()
    assert visits.loop.armed == 0
    uplink.take(0, 480, 0.0)
    assert visits.loop.armed == 1
    visits.loop.run_until(20.0)
    assert visits.loop.armed == 0
    uplink.take(480_480, 480, 20.0)
    visits.clock.close()
    assert visits.loop.armed == 0


def test_sessions_are_spread_over_a_round() -> None:
    visits = Visits()
    for uplink in [visits.uplink() for _ in range(30)]:
        uplink.take(0, 480, 0.0)
    visits.loop.run_until(1.0)
    moments = {round(at, 3) for at, _ in visits.told}
    counts = [
        sum(round(at, 3) == moment for at, _ in visits.told) for moment in moments
    ]
    assert set(counts) == {10}


def test_one_that_raises_is_let_go_and_the_others_go_on() -> None:
    visits = Visits()
    for uplink in [visits.uplink() for _ in range(6)]:
        uplink.take(0, 480, 0.0)
    visits.raises = True
    visits.loop.run_until(20.0)
    assert visits.failures == 1
    told = sum(samples for _, samples in visits.told)
    assert told == pytest.approx(5 * ENOUGH_SAMPLES, rel=0.05)


def test_a_late_tick_makes_nothing_up_but_waits_for_the_next() -> None:
    visits = Visits()
    uplinks = [visits.uplink() for _ in range(TICKS_PER_ROUND)]

    def hear(frames: range, until: float) -> None:
        for number in frames:
            for uplink in uplinks:
                uplink.take(number * FRAME_SAMPLES, FRAME_SAMPLES, until)

    for number in range(10):
        visits.loop.run_until(number * FRAME_S)
        hear(range(number, number + 1), visits.loop.now)
    visits.loop.now = 1.0  # the loop was busy: frames are in the socket
    visits.loop.run_until(1.0)
    hear(range(10, 50), 1.0)
    visits.loop.run_until(1.1)
    assert visits.told == []
    for busy_until in (2.0, 3.0):
        visits.loop.now = busy_until
        visits.loop.run_until(busy_until)
    assert visits.told != []


@pytest.mark.parametrize("has_spoken", [True, False])
def test_a_session_that_is_closed_says_nothing_more(*, has_spoken: bool) -> None:
    visits = Visits()
    uplink = visits.uplink()
    if has_spoken:
        uplink.take(0, 480, 0.0)
    uplink.close()
    uplink.take(480, 480, 0.02)
    uplink.speech_started()
    visits.loop.run_until(5.0)
    assert visits.told == []
