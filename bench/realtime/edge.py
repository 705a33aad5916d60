"""An edge with many callers, without callers: see `bench.upstream`.

python -m bench.realtime.edge PORT KEY CALLS WARM_S SECONDS PAYLOAD
"""

import asyncio
import contextlib
import os
import sys

import uvloop

from bench.realtime.pace import PHASES, mark, pace
from codec.opus import Encoder
from proto.errors import CloseCode
from proto.frames import FRAME_BYTES, FRAME_SAMPLES, DownFrame, UpFrame
from proto.payload import Payload
from proto.request import SessionRequest
from proto.udp import Dialer, LinkSession
from runtime.settings import Address

_SAMPLES_PER_MS = 24


class Caller:
    """Speaks without pause, and tells how far it has heard."""

    def __init__(self, sound: bytes) -> None:
        self.session: LinkSession | None = None
        self.sent = 0
        self.received = 0
        self.end: str | None = None
        self._sound = sound
        self._position_samples = 0
        self._talkspurt = 0
        self._heard_samples = 0

    def speak(self) -> None:
        """Send a frame."""
        assert self.session is not None
        self.session.send_up(
            UpFrame(
                self._position_samples,
                self._talkspurt,
                self._heard_samples,
                self._sound,
            )
        )
        self._position_samples += FRAME_SAMPLES
        self.sent += 1

    def opened(self) -> None:
        """Do nothing: frames sent before are dropped."""

    def event_received(self, payload: bytes) -> None:
        """Do nothing."""

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        """Count, and hear it when it is due."""
        assert isinstance(frame, DownFrame)
        self.received += 1
        self._talkspurt = frame.talkspurt
        ahead_samples = frame.lead_ms * _SAMPLES_PER_MS
        self._heard_samples = max(0, frame.position_samples - ahead_samples)

    def frames_lost(self, count: int) -> None:
        """Do nothing: it shows in the counts."""

    def flush_requested(self, talkspurt: int) -> None:
        """Nobody barges in."""

    def flush_done(self, talkspurt: int, heard_samples: int) -> None:
        """The relay's business."""

    def closed(self, code: CloseCode, reason: str) -> None:
        """Remember why: the figures would be of fewer calls."""
        self.end = f"{code.name}: {reason}"


async def main() -> None:
    """Hold the calls, and print marks."""
    port, key, calls, warm_s, seconds, name = sys.argv[1:]
    payload = Payload[name.upper()]
    pcm = os.urandom(FRAME_BYTES)
    sound = Encoder().encode(pcm) if payload is Payload.OPUS else pcm
    callers = [Caller(sound) for _ in range(int(calls))]
    address = Address("127.0.0.1", int(port))
    dialer = Dialer(address, bytes.fromhex(key), payloads=(payload,))
    loop = asyncio.get_running_loop()
    dialing = loop.create_task(dialer.run())
    while not dialer.is_up:  # noqa: ASYNC110  # set-up only
        await asyncio.sleep(0.01)
    for number, caller in enumerate(callers):
        request = SessionRequest(call_id=f"rtc_{number}", tenant="bench")
        caller.session = dialer.open_session(request.encode(), caller)

    def take(step: int) -> None:
        for caller in callers[step % PHASES :: PHASES]:
            caller.speak()

    def counts() -> tuple[int, int]:
        if ends := {caller.end for caller in callers if caller.end}:
            raise RuntimeError(f"calls ended: {ends}")
        return sum(c.sent for c in callers), sum(c.received for c in callers)

    pacing = loop.create_task(pace(take))
    await mark(counts, float(warm_s), float(seconds))
    for task in (pacing, dialing):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


if __name__ == "__main__":
    uvloop.run(main())
