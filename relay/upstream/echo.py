"""An upstream that says what it hears, for measurement: no WebSocket, no model.

Audio takes the same way through session, turn and clock as a model's would, but as it
comes in real time it leaves in real time. The caller's audio is one endless response,
so no playback event but the first `started` is ever due. A WebSocket client gets what
it appended as audio deltas of that response, and no other event about it.
"""

import asyncio
from typing import Any

import orjson

from relay.upstream import protocol
from relay.upstream.events import AudioDelta, EventIds
from relay.upstream.port import Receiver

_RESPONSE_ID = "resp_echo"
_ITEM_ID = "item_echo"


class Echo:
    """Returns the caller's own audio."""

    is_live = True
    waiting = 0

    def __init__(self) -> None:
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
                where = {"response_id": _RESPONSE_ID, "item_id": _ITEM_ID}
                index = {"output_index": 0, "content_index": 0}
                self._tell("response.output_audio.delta", delta=audio, **where, **index)
            case _:
                pass

    async def room(self, size_bytes: int) -> None:
        """There always is."""

    def append(self, pcm: bytes) -> None:
        """Say it back."""
        if self._receiver:
            delta = AudioDelta(_RESPONSE_ID, _ITEM_ID, 0, pcm)
            self._receiver.upstream_event(delta, b"")

    def append_silence(self, samples: int) -> None:
        """Leave the gap: what comes late would only add delay."""

    def _tell(self, type_: str, **fields: Any) -> None:
        if self._receiver:
            event = {"type": type_, "event_id": self._ids.next(), **fields}
            message = orjson.dumps(event)
            has_media = self._receiver.has_media
            read = protocol.read_upstream(message, has_media=has_media)
            self._receiver.upstream_event(read, message)
