"""What every conversation here shares: its plot, a microphone, and the report.

The caller's lines are PCM files made beforehand; what the client saw goes to standard
output, a JSON object a line, and what it played to a PCM file a reply.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RATE_HZ = 24_000
FRAME_S = 0.02
FRAME_BYTES = round(RATE_HZ * FRAME_S) * 2

MODEL = "gpt-realtime"
OPENING = "Hello, my name is Anna."
WEATHER = "sunny and 21 degrees"
"""What the tool says of the weather, whatever the city."""

LISTENS_S = 1.5
"""How much of the long reply is heard before it is talked over."""

STEP_S = 25.0
"""Longest wait for the next thing to happen."""


class Microphone:
    """A microphone in real time: lines that were said, silence between them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._queued = bytearray()

    def say(self, line: str) -> None:
        """Say a line from the folder."""
        self._queued += (self._folder / f"{line}.pcm").read_bytes()

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield PCM, 20 ms at a time, each when its time has come."""
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            due_s += FRAME_S
            frame = bytes(self._queued[:FRAME_BYTES])
            del self._queued[:FRAME_BYTES]
            yield frame.ljust(FRAME_BYTES, b"\0")


@dataclass
class Stage:
    """Where a client plays: told where to connect, it tells what it saw.

    Attributes:
        base_url: As given to an SDK, ending in /v1.
        api_key: Any that the server takes.
        folder: The caller's lines; the replies are written here.
    """

    base_url: str
    api_key: str
    folder: Path
    microphone: Microphone = field(init=False)
    _seen: list[str] = field(default_factory=list)
    _heard: bytearray = field(default_factory=bytearray)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.microphone = Microphone(self.folder)

    @property
    def websocket_url(self) -> str:
        """The WebSocket's address, for clients that want the whole of it."""
        return self.base_url.replace("http", "ws", 1) + "/realtime"

    def saw(self, what: str, **details: object) -> None:
        """Report something; `replied` is for replies."""
        sys.stdout.write(json.dumps({"saw": what, **details}) + "\n")
        sys.stdout.flush()
        self._seen.append(what)
        self._changed.set()

    def played(self, pcm: bytes) -> None:
        """Keep sound of the reply that is being played."""
        self._heard += pcm
        self._changed.set()

    def replied(self, text: str) -> None:
        """Report a reply that was played to its end, or to where it was cut off."""
        name = f"reply-{self._seen.count('reply')}.pcm"
        (self.folder / name).write_bytes(self._heard)
        self._heard.clear()
        self.saw("reply", text=text, audio=name)

    async def wait(self, what: str, number: int) -> None:
        """Wait until something was seen so many times."""
        await self._until(lambda: self._seen.count(what) >= number, f"{number}. {what}")

    async def wait_to_hear(self, duration_s: float) -> None:
        """Wait until so much of a reply was played."""
        size = duration_s * RATE_HZ * 2
        await self._until(lambda: len(self._heard) >= size, f"{duration_s} s of reply")

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(STEP_S):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise SystemExit(f"no {what}; saw {self._seen}") from None


async def converse(stage: Stage, write: Callable[[str], Awaitable[object]]) -> None:
    """Hold the conversation: a written turn, spoken ones, a tool, an interruption.

    The interruption asks for what was written at first: nothing of it may be lost.

    Args:
        stage: Where the client reports.
        write: Sends a text of the user and asks for the reply.
    """
    await write(OPENING)
    await stage.wait("reply", 1)
    stage.microphone.say("weather")
    await stage.wait("tool", 1)
    await stage.wait("reply", 2)
    stage.microphone.say("count")
    await stage.wait_to_hear(LISTENS_S)
    stage.microphone.say("name")
    await stage.wait("interrupted", 1)
    await stage.wait("reply", 4)
    stage.saw("end")


def run(hold: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    """Run one client's conversation as a program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("base_url")
    parser.add_argument("api_key")
    parser.add_argument("folder", type=Path)
    stage = Stage(**vars(parser.parse_args()))
    asyncio.run(hold(stage))
