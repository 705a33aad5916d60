"""A loudspeaker in real time, for clients that leave the playing to the application."""

import asyncio
from collections.abc import Callable

from tests.interop.python.clients.stage import FRAME_BYTES, FRAME_S, RATE_HZ, Stage


class Player:
    """Plays one reply after the other; what is queued comes faster than it plays."""

    def __init__(self, stage: Stage, ended: Callable[[], None]) -> None:
        """Play for a stage.

        Args:
            stage: Where the sound goes.
            ended: Called when a reply was played to its end.
        """
        self._stage = stage
        self._ended = ended
        self._queued = bytearray()
        self._played_bytes = 0
        self._is_whole = False
        self._playing: asyncio.Task[None] | None = None

    @property
    def is_playing(self) -> bool:
        """Whether a reply is being played."""
        return self._playing is not None

    @property
    def played_ms(self) -> int:
        """How much of this reply, or else of the last, was played."""
        return self._played_bytes * 1000 // (2 * RATE_HZ)

    def queue(self, pcm: bytes) -> None:
        """Play this after what is queued."""
        self._queued += pcm
        if self._playing is None:
            self._is_whole = False
            self._played_bytes = 0
            self._playing = asyncio.create_task(self._play())

    def finish(self) -> None:
        """Take note that nothing more comes of this reply."""
        self._is_whole = True

    def stop(self) -> None:
        """Fall silent, and forget what is queued."""
        self._queued.clear()
        if self._playing is not None:
            self._playing.cancel()
            self._playing = None

    async def _play(self) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while self._queued or not self._is_whole:
            pcm = bytes(self._queued[:FRAME_BYTES])
            del self._queued[:FRAME_BYTES]
            self._stage.played(pcm)
            self._played_bytes += len(pcm)
            due_s += FRAME_S
            await asyncio.sleep(max(0.0, due_s - loop.time()))
        self._playing = None
        self._ended()
