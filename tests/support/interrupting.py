"""A caller who talks over the model at random moments, and knows what it has heard.

The services are the real ones; the Realtime API behind them is scripted, and says
`babble`, of which each moment sounds like no other: so the client finds what it played
last in what was said. By voice: the scripted server tells speech by its loudness. By
`interrupt()`: what the official SDK sends for it.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import aiohttp
import numpy as np
from aiortc.mediastreams import MediaStreamTrack
from aiortc.rtp import RtpPacket

from proto.frames import FRAME_BYTES, SAMPLE_RATE_HZ
from tests.support import ear
from tests.support.caller import Caller, Event
from tests.support.ear import Packet
from tests.support.netem import Path
from tests.support.realtime_server import ApiSession, RealtimeServer
from tests.support.rough_path import rough_path
from tests.support.services import Stack
from tests.support.sound import at_48_khz, babble

SPOKEN_S = 8.0
"""Length of what the model says each time: not over, though all be late by seconds."""

MOMENTS_S = (0.0, 3.0)
"""When it is interrupted after playback was told to have started, drawn evenly."""

SHOUT_S = 0.2
LOUD_RMS = 300.0
"""Speech to the scripted server; the caller is otherwise digitally silent."""

QUIET_S = 0.3
"""Without a packet for so long, all that was sent is there."""

GLANCES = 15
"""In that time: of a machine that pauses for as long, each finds what has come."""


class Plan(NamedTuple):
    """One interruption to be.

    Attributes:
        after_s: Into the playback.
        by_voice: Or else by `interrupt()`.
        is_generated: The response is done when it is interrupted, and another waits
            behind it, of which nothing will be heard.
    """

    after_s: float
    by_voice: bool
    is_generated: bool


class Road(NamedTuple):
    """What the caller's path does, each way: seconds, and a share of 1 that is lost."""

    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0


SMOOTH = Road()


class Interruption(NamedTuple):
    """What one interruption did.

    Attributes:
        truncated_ms: As the client was told; 0: the item was deleted.
        heard_ms: How far into the item its last audible sample was.
        silent_ms: From `speech_started`, or the client's clear, to the end of that.
        noticed_ms: From the first sound of the caller's to `speech_started`.
        waiting_deleted: What waited behind was deleted; None: nothing did.
    """

    plan: Plan
    truncated_ms: int
    heard_ms: float
    silent_ms: float
    noticed_ms: float
    waiting_deleted: bool | None

    @property
    def off_ms(self) -> float:
        """Above 0, more is remembered than was heard."""
        return self.truncated_ms - self.heard_ms


def plans(count: int, seed: int) -> list[Plan]:
    """Draw interruptions."""
    rng = random.Random(seed)
    return [
        Plan(rng.uniform(*MOMENTS_S), rng.random() < 0.5, rng.random() < 0.5)
        for _ in range(count)
    ]


class Listener:
    """A stock caller, of which each packet is written down as it comes."""

    def __init__(self) -> None:
        self.caller = Caller()
        self.packets: list[Packet] = []
        self.caller.connection.on("track", self._track_received)

    async def dial(self, url: str, ports: tuple[int, int] | None = None) -> None:
        """Place the call; media goes to the second of `ports` instead of the first."""
        headers = {"Content-Type": "application/sdp"}
        offer = await self.caller.offer()
        async with (
            aiohttp.ClientSession() as http,
            http.post(
                f"{url}/v1/realtime/calls", data=offer, headers=headers
            ) as response,
        ):
            answer = await response.text()
            assert response.status == 201, answer
        if ports is not None:
            answer = answer.replace(f" {ports[0]} ", f" {ports[1]} ")
        await self.caller.take_answer(answer)

    async def silence(self) -> None:
        """Wait until no more packets come."""
        count, quiet = len(self.packets), 0
        while quiet < GLANCES:
            await asyncio.sleep(QUIET_S / GLANCES)
            quiet = quiet + 1 if count == len(self.packets) else 0
            count = len(self.packets)

    def _track_received(self, track: MediaStreamTrack) -> None:
        (receiver,) = self.caller.connection.getReceivers()
        handle = receiver._handle_rtp_packet
        loop = asyncio.get_running_loop()

        async def note(packet: RtpPacket, arrival_time_ms: int) -> None:
            arrived = Packet(loop.time(), packet.timestamp, packet.payload)
            self.packets.append(arrived)
            await handle(packet, arrival_time_ms)

        receiver._handle_rtp_packet = note  # type: ignore[method-assign]  # no other ear


async def hold_calls(
    stack: Stack,
    server: RealtimeServer,
    wished: Sequence[Sequence[Plan]],
    road: Road = SMOOTH,
    seed: int = 0,
) -> list[Interruption]:
    """Hold calls at the same time, each with its interruptions one after the other."""
    dialing = asyncio.Lock()

    async def hold(number: int, plans: Sequence[Plan]) -> list[Interruption]:
        async with contextlib.AsyncExitStack() as leaving:
            own = 10_000 * seed + 1_000 * number
            async with dialing:  # so that the next session is this one's
                calling = on_the_line(stack, road, own)
                listener = await leaving.enter_async_context(calling)
                api = await server.next_session()
            return [
                await interrupt(api, listener, plan, own + 10 * index)
                for index, plan in enumerate(plans)
            ]

    async with asyncio.TaskGroup() as tasks:
        holding = [tasks.create_task(hold(*each)) for each in enumerate(wished)]
    return [one for task in holding for one in task.result()]


@contextlib.asynccontextmanager
async def on_the_line(stack: Stack, road: Road, seed: int) -> AsyncIterator[Listener]:
    """Hold a call over a road of its own; loss begins when it stands."""
    rng = random.Random(seed)
    up, down = (Path(rng, road.delay_s, road.jitter_s) for _ in range(2))
    listener = Listener()
    async with rough_path(stack.udp_address, up, down) as front:
        try:
            await listener.dial(stack.url, (stack.udp_address[1], front[1]))
            await listener.caller.wait_for("session.created")
            up.loss = down.loss = road.loss
            yield listener
            up.loss = down.loss = 0.0
        finally:
            await listener.caller.close()


async def interrupt(
    api: ApiSession, listener: Listener, plan: Plan, seed: int
) -> Interruption:
    """Have the model speak, talk over it, and return what became of it."""
    caller, loop = listener.caller, asyncio.get_running_loop()
    spoken = babble(SPOKEN_S, seed)
    begun = len(listener.packets)
    playing = caller.count("output_audio_buffer.started") + 1
    clearing = caller.count("output_audio_buffer.cleared") + 1
    await api.begin_response()
    item = await api.say(spoken.tobytes())
    waiting = None
    if plan.is_generated:
        await api.end_response()
        waiting = await api.reply(babble(1.0, seed + 1).tobytes())
    await caller.wait_for("output_audio_buffer.started", playing)
    await asyncio.sleep(plan.after_s)
    said_s = loop.time()
    if plan.by_voice:
        caller.microphone.say(at_48_khz(babble(SHOUT_S, seed + 2)))
        await speech_heard(api)
    started_s = loop.time()
    if plan.by_voice:
        await api.interrupt()
    else:
        if not plan.is_generated:
            caller.send({"type": "response.cancel"})
        caller.send({"type": "output_audio_buffer.clear"})
    await caller.wait_for("output_audio_buffer.cleared", clearing)
    forgotten = await what_was_forgotten(caller, item)
    waiting_deleted = None
    if waiting is not None:
        deleted = await what_was_forgotten(caller, waiting)
        waiting_deleted = deleted["type"] == "conversation.item.deleted"
    await listener.silence()
    played = ear.play(listener.packets[begun:])
    silent_s = ear.silent_s(played)
    return Interruption(
        plan,
        truncated_ms=forgotten.get("audio_end_ms", 0),
        heard_ms=1000 * ear.end_samples(played, spoken) / SAMPLE_RATE_HZ,
        silent_ms=1000 * max(0.0, (silent_s or 0.0) - started_s),
        noticed_ms=1000 * (started_s - said_s),
        waiting_deleted=waiting_deleted,
    )


async def speech_heard(api: ApiSession) -> None:
    """Wait until the scripted server hears something loud."""
    at = len(api.heard)
    while True:
        await api.heard_bytes(at + FRAME_BYTES)
        pcm = np.frombuffer(bytes(api.heard[at : at + FRAME_BYTES]), "<i2")
        if np.sqrt(np.mean(np.square(pcm, dtype=np.float64))) > LOUD_RMS:
            return
        at += FRAME_BYTES


async def what_was_forgotten(caller: Caller, item_id: str) -> Event:
    """Return the event that truncated or deleted an item, waiting for it."""
    kinds = ("conversation.item.truncated", "conversation.item.deleted")
    found: list[Event] = []

    def is_there() -> bool:
        found[:] = [
            event
            for event in caller.events
            if event["type"] in kinds and event["item_id"] == item_id
        ]
        return bool(found)

    await caller.wait_until(is_there, f"end of {item_id}")
    (event,) = found
    return event
