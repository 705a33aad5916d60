"""An upstream that says what it hears, for measurement: no WebSocket, no model.

Audio takes the same way through session, turn and clock as a model's would, but as it
comes in real time it leaves in real time. The caller's audio is one endless response,
so no playback event but the first `started` is ever due. A WebSocket client gets what
it appended as audio deltas of that response, and no other event about it.

It may say it some seconds later: who speaks for so long and is then silent for as long
has a conversation in turns with itself. Frames that came alone are not said then: they
are the comfort noise of who is silent (RFC 6716 section 2.1.9), which no model answers.
"""

import asyncio
import math
from collections import deque
from typing import Any

import orjson

from proto.frames import FRAME_BYTES
from relay.upstream import protocol
from relay.upstream.events import AudioDelta, EventIds
from relay.upstream.port import Receiver

_RESPONSE_ID = "resp_echo"
_ITEM_ID = "item_echo"

ALONE_S = 0.1
"""Of what comes alone, the distance to what came before and to what comes next: of
frames of 20 ms, more than four were lost there, or never sent."""


class Echo:
    """Returns the caller's own audio.

    Args:
        after_s: How much later than it was said, seconds.
    """

    is_live = True
    waiting = 0

    def __init__(self, after_s: float = 0.0) -> None:
        self._after_s = after_s
        self._heard: deque[tuple[float, bytes | str]] = deque()
        self._last_due = -math.inf
        self._receiver: Receiver | None = None
        self._ids = EventIds()
        self._session: dict[str, Any] = {"type": "realtime"}
        self._is_updated = False

    async def run(self, receiver: Receiver, tasks: asyncio.TaskGroup) -> None:
        """Echo until cancelled."""
        del tasks  # none needed
        self._receiver = receiver
        receiver.upstream_connected()
        self._tell("session.created", session=self._session)
        if self._is_updated:
            self._tell("session.updated", session=self._session)
        try:
            await asyncio.Event().wait()
        finally:
            self._receiver = None

    def send(self, payload: bytes) -> None:
        """Answer `session.update`, for clients that wait for it; say audio back."""
        match orjson.loads(payload):
            case {"type": "session.update", "session": dict(session)}:
                self._is_updated = True
                self._session |= session
                self._tell("session.updated", session=self._session)
            case {"type": "input_audio_buffer.append", "audio": str(audio)}:
                self._take(audio)
            case _:
                pass

    async def room(self, size_bytes: int) -> None:
        """There always is."""

    def append(self, pcm: bytes) -> None:
        """Say it back."""
        self._take(pcm)

    def append_silence(self, samples: int) -> None:
        """Leave the gap: what comes late would only add delay."""

    def _take(self, audio: bytes | str) -> None:
        if not self._after_s:
            self._say(audio)
            return
        loop = asyncio.get_running_loop()
        self._heard.append((loop.time() + self._after_s, audio))
        if len(self._heard) == 1:
            loop.call_at(self._heard[0][0], self._say_due, loop)

    def _say_due(self, loop: asyncio.AbstractEventLoop) -> None:
        now, heard = loop.time(), self._heard
        while heard and heard[0][0] <= now:
            due, audio = heard.popleft()
            next_due = heard[0][0] if heard else math.inf
            nearest_s = min(due - self._last_due, next_due - due)
            if nearest_s < ALONE_S or len(audio) > FRAME_BYTES:
                self._say(audio)
            self._last_due = due
        if heard and self._receiver:
            loop.call_at(heard[0][0], self._say_due, loop)

    def _say(self, audio: bytes | str) -> None:
        """Say PCM, or what a WebSocket client appended as base64."""
        if isinstance(audio, str):
            where = {"response_id": _RESPONSE_ID, "item_id": _ITEM_ID}
            index = {"output_index": 0, "content_index": 0}
            self._tell("response.output_audio.delta", delta=audio, **where, **index)
        elif self._receiver:
            delta = AudioDelta(_RESPONSE_ID, _ITEM_ID, 0, audio)
            self._receiver.upstream_event(delta, b"")

    def _tell(self, type_: str, **fields: Any) -> None:
        if self._receiver:
            event = {"type": type_, "event_id": self._ids.next(), **fields}
            message = orjson.dumps(event)
            has_media = self._receiver.has_media
            read = protocol.read_upstream(message, has_media=has_media)
            self._receiver.upstream_event(read, message)
