"""A caller: a stock aiortc client that speaks, listens and keeps what it hears."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from typing import Any

import aiohttp
import aiortc
import av
import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from numpy.typing import NDArray

RATE_HZ = 48_000
FRAME_SAMPLES = 960
WAIT_S = 60.0
"""Only what never comes takes so long, spoken answers on a crowded machine included."""
SDP = "application/sdp"

Event = dict[str, Any]


class Microphone(MediaStreamTrack):
    """An audio track in real time: what was queued with `say`, else silence."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._queued: NDArray[np.int16] = np.zeros(0, np.int16)
        self._sent_frames = 0
        self._started_s: float | None = None

    def say(self, pcm: NDArray[np.int16]) -> None:
        """Queue sound: int16, mono, 48 kHz."""
        self._queued = np.concatenate([self._queued, pcm])

    async def recv(self) -> av.AudioFrame:
        """Return the next 20 ms when its time has come."""
        now_s = asyncio.get_running_loop().time()
        if self._started_s is None:
            self._started_s = now_s
        due_s = self._started_s + self._sent_frames * 0.02
        await asyncio.sleep(max(0.0, due_s - now_s))
        if self.readyState != "live":
            raise MediaStreamError
        samples, self._queued = (
            self._queued[:FRAME_SAMPLES],
            self._queued[FRAME_SAMPLES:],
        )
        samples = np.pad(samples, (0, FRAME_SAMPLES - len(samples)))
        frame = av.AudioFrame.from_ndarray(samples[None, :], "s16", "mono")
        frame.sample_rate = RATE_HZ
        frame.pts = self._sent_frames * FRAME_SAMPLES
        frame.time_base = Fraction(1, RATE_HZ)
        self._sent_frames += 1
        return frame


class Caller:
    """One connected call, seen from the client."""

    def __init__(self) -> None:
        self.connection = aiortc.RTCPeerConnection(
            aiortc.RTCConfiguration(iceServers=[])
        )
        self.microphone = Microphone()
        self.channel = self.connection.createDataChannel("oai-events")
        self.location = ""
        self.events: list[Event] = []
        self._heard: list[NDArray[np.int16]] = []
        self._changed = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self.connection.addTrack(self.microphone)
        self.connection.on("track", self._track_received)
        self.connection.on("connectionstatechange", self._changed.set)
        self.channel.on("message", self._message_received)
        self.channel.on("open", self._changed.set)
        self.channel.on("close", self._changed.set)

    @property
    def heard(self) -> NDArray[np.int16]:
        """All that was played so far: int16, mono, 48 kHz."""
        return np.concatenate([np.zeros(0, np.int16), *self._heard])

    async def dial(
        self,
        url: str,
        headers: dict[str, str] | None = None,
        session: Event | None = None,
    ) -> None:
        """Place the call; with a session part as multipart, as the SDKs do."""
        offer = await self.offer()
        body: str | aiohttp.FormData = offer
        headers = {"Content-Type": SDP} | (headers or {})
        if session is not None:
            del headers["Content-Type"]
            body = aiohttp.FormData(default_to_multipart=True)
            body.add_field("sdp", offer, content_type=SDP)
            body.add_field(
                "session", json.dumps(session), content_type="application/json"
            )
        async with (
            aiohttp.ClientSession() as http,
            http.post(
                f"{url}/v1/realtime/calls", data=body, headers=headers
            ) as response,
        ):
            answer = await response.text()
            assert response.status == 201, answer
            self.location = response.headers["Location"]
        await self.take_answer(answer)

    async def offer(self) -> str:
        """Make the offer; SDP."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def take_answer(self, answer: str) -> None:
        """Begin to connect as the answer says; SDP."""
        await self.connection.setRemoteDescription(
            aiortc.RTCSessionDescription(sdp=answer, type="answer")
        )

    def send(self, event: Event) -> None:
        """Send a client event."""
        self.channel.send(json.dumps(event))

    def count(self, kind: str) -> int:
        """Return how many events of a type have come."""
        return sum(event["type"] == kind for event in self.events)

    async def wait_for(self, kind: str, number: int = 1) -> Event:
        """Return the n-th event of a type, waiting for it."""
        await self.wait_until(lambda: self.count(kind) >= number, f"{number}. {kind}")
        return [event for event in self.events if event["type"] == kind][number - 1]

    async def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until a condition on what was received holds."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            kinds = [event["type"] for event in self.events]
            raise AssertionError(f"no {what}; had {kinds}") from None

    async def close(self) -> None:
        """Hang up."""
        await self.connection.close()
        if self._listening is not None:
            self._listening.cancel()  # a track that never began never ends either
            await asyncio.wait({self._listening})

    def _message_received(self, message: str) -> None:
        self.events.append(json.loads(message))
        self._changed.set()

    def _track_received(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.create_task(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                stereo = frame.to_ndarray().reshape(-1, 2)
                self._heard.append(stereo[:, 0].astype(np.int16))
                self._changed.set()


@contextlib.asynccontextmanager
async def calling(
    url: str, headers: dict[str, str] | None = None, session: Event | None = None
) -> AsyncIterator[Caller]:
    """Hold a call for the length of a block."""
    caller = Caller()
    try:
        await caller.dial(url, headers, session)
        yield caller
    finally:
        await caller.close()


async def goes_on(caller: Caller) -> None:
    """Return when something new was said and heard."""
    heard = len(caller.heard)
    caller.microphone.say(np.full(RATE_HZ // 10, 8000, np.int16))
    more = heard + RATE_HZ // 5
    await caller.wait_until(lambda: len(caller.heard) > more, "further sound")


async def refusal(url: str, **headers: str) -> tuple[int, str | None]:
    """Return status and Retry-After of a call that is not taken."""
    caller = Caller()
    offer = await caller.offer()
    await caller.close()
    async with (
        aiohttp.ClientSession(headers={"Content-Type": SDP} | headers) as http,
        http.post(f"{url}/v1/realtime/calls", data=offer) as answer,
    ):
        return answer.status, answer.headers.get("Retry-After")
