"""One run: prepare all calls, ramp up, hold, hang up; what was measured of it."""

import asyncio
import contextlib
import gc
import os
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import aiohttp

from bench.load import cpu, voice as voices
from bench.load.dial import Dialer, DialError
from bench.load.holds import Hold, Watch
from bench.load.line import Line, Log, Part
from bench.load.options import Options
from bench.load.pump import Pump
from bench.load.voice import Turns, Voice
from proto.frames import FRAME_MS
from runtime.garbage import collect_seldom
from tests.support.netem import Path
from transceiver.webrtc.certificate import Certificate
from transceiver.webrtc.pinned import check_aiortc

SETTLE_S = 2.0
"""After the last call has connected, before anything is counted: what a server could
not do beside setting calls up is done by then."""

TAIL_S = 0.3
"""After the last thing that counts, for what is still under way."""

HANG_UP_S = 1.0
"""How long calls may take to notice that all hang up."""

PROGRESS_S = 1.0


@dataclass(slots=True)
class Attempt:
    """What became of one call; times are the wall clock's, 0: never.

    Attributes:
        failure: Why it did not connect, or was lost.
    """

    offered_ns: int = 0
    connected_ns: int = 0
    failure: str = ""
    log: Log = field(default_factory=Log)
    unopened: int = 0


@dataclass(slots=True)
class Outcome:
    """A run as it went.

    Attributes:
        from_ns, to_ns: What counts of it, all but set-up; equal: it was cut short.
        cpu_s: CPU seconds of each process asked for, within these.
        own_cpu_s: The generator's own, within these.
        others_s: CPU seconds of all other processes within these, by core.
        late_ms: How late the generator's clock was, at 99 of 100 steps at most.
        holds: When the kernel held a core for itself, from the first call on.
        stopped: Whether it was interrupted.
    """

    options: Options
    voice: Voice
    attempts: list[Attempt]
    from_ns: int = 0
    to_ns: int = 0
    cpu_s: dict[int, float] = field(default_factory=dict)
    own_cpu_s: float = 0.0
    others_s: dict[int, float] = field(default_factory=dict)
    late_ms: float = 0.0
    holds: list[Hold] = field(default_factory=list)
    stopped: bool = False


def load_voice(options: Options) -> Voice:
    """Encode what is said.

    Raises:
        VoiceError: The file cannot be used.
    """
    speech = options.speech
    pcm = voices.built_in() if speech is None else voices.read_wav(speech)
    return voices.encode(pcm, expected_loss=round(options.loss))


async def run(
    options: Options, voice: Voice, stop: asyncio.Event, tell: Callable[[str], None]
) -> Outcome:
    """Make the run; `stop` ends it early, with what was measured until then."""
    outcome = Outcome(options, voice, [Attempt() for _ in range(options.calls)])
    pump, thresholds = Pump(), gc.get_threshold()
    try:
        async with (
            _prepared(outcome, stop, tell) as dialers,
            asyncio.TaskGroup() as group,
        ):
            crowd = _Crowd(outcome, pump, dialers)
            watch = Watch(options.pids)
            outcome.holds = watch.holds
            beside = [group.create_task(one) for one in (crowd.tell(tell), watch.run())]
            hanging_up = asyncio.Event()
            calls = [
                group.create_task(crowd.call(number, stop, hanging_up))
                for number in range(len(dialers))
            ]
            await _first(crowd.all_dialled, stop)
            if any(attempt.connected_ns for attempt in outcome.attempts):
                await _hold(outcome, pump, stop)
                await asyncio.sleep(TAIL_S)
            hanging_up.set()
            for one in beside:
                one.cancel()
            _, late = await asyncio.wait(calls, timeout=HANG_UP_S)
            for call in late:  # still dialling, after an interruption
                call.cancel()
    finally:
        pump.close()
        gc.set_threshold(*thresholds)
        gc.unfreeze()
    return outcome


@contextlib.asynccontextmanager
async def _prepared(
    outcome: Outcome, stop: asyncio.Event, tell: Callable[[str], None]
) -> AsyncIterator[list[Dialer]]:
    """Make all offers beforehand, one after the other; close what they hold."""
    check_aiortc()
    tell(f"preparing {len(outcome.attempts)} offers ...")
    dialers: list[Dialer] = []
    certificate = Certificate.generateCertificate()
    try:
        for _ in outcome.attempts:
            if stop.is_set():
                break
            dialer = Dialer(with_red=outcome.options.with_red, certificate=certificate)
            dialers.append(dialer)
            await dialer.prepare()
            await asyncio.sleep(0)
        yield dialers
    finally:
        for dialer in dialers:
            await dialer.close()


async def _hold(outcome: Outcome, pump: Pump, stop: asyncio.Event) -> None:
    """Keep all calls up for the duration and note what it took."""
    options = outcome.options
    gc.collect()
    collect_seldom()  # what lives now lives to the end; nothing of it is walked again
    await _wait(stop, SETTLE_S + options.echo_after_s)
    before, own_before_s = cpu.spent_by_all(), time.process_time()
    outcome.from_ns = outcome.to_ns = time.time_ns()
    del pump.lateness_ms[:]
    await _wait(stop, options.duration_s)
    outcome.to_ns = time.time_ns()
    outcome.own_cpu_s = time.process_time() - own_before_s
    after = cpu.spent_by_all()
    for pid in options.pids:
        if pid in after and pid in before:
            outcome.cpu_s[pid] = after.pop(pid).seconds - before[pid].seconds
    after.pop(os.getpid(), None)
    outcome.others_s = cpu.by_core(before, after)
    lateness = sorted(pump.lateness_ms)
    outcome.late_ms = lateness[len(lateness) * 99 // 100] if lateness else 0.0
    outcome.stopped = stop.is_set()


class _Crowd:
    """All calls of a run, each in a task of the run's group."""

    def __init__(self, outcome: Outcome, pump: Pump, dialers: list[Dialer]) -> None:
        self.all_dialled = asyncio.Event()
        self._outcome, self._pump, self._dialers = outcome, pump, dialers
        self._dialling = len(dialers)
        self._up = 0
        headers = {}
        if outcome.options.key:
            headers["Authorization"] = f"Bearer {outcome.options.key}"
        self._http = aiohttp.ClientSession(
            headers=headers, connector=aiohttp.TCPConnector(limit=0)
        )
        self._started_s = asyncio.get_running_loop().time()

    async def call(
        self, number: int, stop: asyncio.Event, hanging_up: asyncio.Event
    ) -> None:
        """Place one call at its time and hold it until all hang up."""
        attempt, dialer = self._outcome.attempts[number], self._dialers[number]
        rng = random.Random(f"{self._outcome.options.seed} {number}")
        try:
            due_s = (number + rng.random()) / self._outcome.options.ramp
            elapsed_s = asyncio.get_running_loop().time() - self._started_s
            await _wait(stop, due_s - elapsed_s)
            line = None if stop.is_set() else await self._dial(attempt, dialer, rng)
        finally:
            self._dialled()
        if line is None:
            return
        self._up += 1
        self._pump.join(line)
        await _first(hanging_up, dialer.lost)
        self._pump.leave(line)
        self._up -= 1
        attempt.unopened = line.unopened
        if not hanging_up.is_set():
            attempt.failure = "lost"

    async def _dial(
        self, attempt: Attempt, dialer: Dialer, rng: random.Random
    ) -> Line | None:
        try:
            keys = await dialer.connect(self._http, self._outcome.options.url)
        except DialError as error:
            attempt.failure = str(error)
            return None
        finally:
            attempt.offered_ns = dialer.offered_ns
        attempt.connected_ns = dialer.connected_ns
        part = self._part(rng)
        line = Line(
            dialer.take_socket(),
            keys,
            self._outcome.voice,
            part,
            dialer.datagram_received,
        )
        attempt.log = line.log
        return line

    def _part(self, rng: random.Random) -> Part:
        options, voice = self._outcome.options, self._outcome.voice
        frames = round(1000 * options.turn_s / FRAME_MS)
        delay_s, jitter_s = options.delay_ms / 1000, options.jitter_ms / 1000
        up, down = (
            Path(random.Random(rng.random()), delay_s, jitter_s, loss / 100)
            for loss in (options.loss, options.loss_down)
        )
        sampled = sum(attempt.connected_ns > 0 for attempt in self._outcome.attempts)
        return Part(
            first_frame=rng.randrange(len(voice.payloads)),
            turns=Turns(frames, rng.randrange(2 * frames) if frames else 0),
            up=up if options.is_rough else None,
            down=down if options.is_rough else None,
            is_sampled=sampled <= options.sampled,
        )

    def _dialled(self) -> None:
        self._dialling -= 1
        if not self._dialling:
            self.all_dialled.set()

    async def tell(self, tell: Callable[[str], None]) -> None:
        """Say once a second how it goes; close the HTTP client in the end."""
        async with self._http:
            while True:
                await asyncio.sleep(PROGRESS_S)
                tell(self._progress())

    def _progress(self) -> str:
        attempts, elapsed_s = self._outcome.attempts, 0.0
        failed = sum(bool(attempt.failure) for attempt in attempts)
        sent = sum(len(attempt.log.sent_ns) for attempt in attempts)
        received = sum(len(attempt.log.arrived_ns) for attempt in attempts)
        elapsed_s = asyncio.get_running_loop().time() - self._started_s
        return (
            f"{elapsed_s:4.0f} s  {self._up}/{len(attempts)} calls up, {failed} failed,"
            f" {sent} packets sent, {received} received"
        )


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, seconds)):
            await stop.wait()


async def _first(*events: asyncio.Event) -> None:
    """Wait for the first of some events."""
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(event.wait()) for event in events]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for one in waiting:
            one.cancel()
