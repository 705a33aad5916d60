"""An upstream that says what it hears, for measurement: no WebSocket, no model.

Audio takes the same way through session, turn and clock as a model's would, but as it
comes in real time it leaves in real time. The caller's audio is one endless response,
so no playback event but the first `started` is ever due.
"""

import asyncio

import orjson

from relay.upstream.events import AudioDelta, EventIds, Passing
from relay.upstream.port import Receiver

_RESPONSE_ID = "resp_echo"
_ITEM_ID = "item_echo"


class Echo:
    """Returns the caller's own audio."""

    is_live = True

    def __init__(self) -> None:
        self._receiver: Receiver | None = None
        self._ids = EventIds()
        self._session: object = None

    async def run(self, receiver: Receiver, tasks: asyncio.TaskGroup) -> None:
        """Echo until cancelled."""
        del tasks  # none needed
        self._receiver = receiver
        receiver.upstream_connected()
        self._tell("session.created")
        if self._session is not None:
            self._tell("session.updated")
        await asyncio.Event().wait()

    def send(self, payload: bytes) -> None:
        """Answer `session.update`, for clients that wait for it; ignore the rest."""
        event = orjson.loads(payload)
        if event.get("type") == "session.update":
            self._session = event.get("session")
            self._tell("session.updated")

    def append(self, pcm: bytes) -> None:
        """Say it back."""
        if self._receiver:
            delta = AudioDelta(_RESPONSE_ID, _ITEM_ID, 0, pcm)
            self._receiver.upstream_event(delta, b"")

    def append_silence(self, samples: int) -> None:
        """Leave the gap: what comes late would only add delay."""

    def _tell(self, type_: str) -> None:
        if self._receiver:
            event = {"type": type_, "event_id": self._ids.next()}
            message = orjson.dumps({**event, "session": self._session})
            self._receiver.upstream_event(Passing(), message)
