"""A server attached to a live call: it sees the call's events and may send its own.

    attached ──► session.created, as the session is now ──► what the client is told
      │  sends: all that the client may send; the lock of a client secret does not bind
      │  it, and what it changes in a locked session is locked from then on
      └──► it leaves, falls behind (close 1013), sends nothing but what is refused
           (close 1008), or the call ends (close 1000)

Its events wait while the upstream's queue is full; the call never waits for it.
"""

import asyncio
import contextlib

import orjson

from relay.client.intake import FLOOD_REASON, Flood, Intake
from relay.client.limits import Limits
from relay.client.outlet import Outlet
from relay.door import ClientEnd
from relay.session import Session

NORMAL_CLOSURE = 1000
POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013
"""RFC 6455 section 7.4.1 and the IANA registry of close codes."""


class Sideband:
    """One attached server; a `Conversation` for the door, a `Listener` for the call."""

    def __init__(self, call: Session, *, speaks_beta: bool) -> None:
        self._call = call
        self._client: ClientEnd | None = None
        self._outlet = Outlet(speaks_beta=speaks_beta, max_event_bytes=None)
        self._intake = Intake(
            limits=Limits(),
            bound=call.bound,
            speaks_beta=speaks_beta,
            has_media=True,
            binds=True,
        )

    async def run(self, client: ClientEnd) -> None:
        """Serve it until it leaves or the call is over."""
        self._client = client
        if not self._has_place():
            return
        self._call.audience.attach(self)
        try:
            self._greet()
            while (payload := await client.receive()) is not None:
                await self._call.room(len(payload))
                if self._call.life.is_over:
                    return
                self._take(payload)
        finally:
            self._call.audience.detach(self)

    def tell(self, message: bytes) -> None:
        """Pass an event on; the door closes a client that falls behind."""
        assert self._client is not None
        for payload in self._outlet.shape(message):
            self._client.send(payload)

    def call_ended(self, reason: str) -> None:
        """Close with the call."""
        assert self._client is not None
        self._client.close(NORMAL_CLOSURE, reason)

    def _has_place(self) -> bool:
        assert self._client is not None
        if self._call.life.is_over:
            self.call_ended("the call has ended")
            return False
        if self._call.audience.is_full:
            self._client.close(TRY_AGAIN_LATER, "too many servers are attached")
            return False
        return True

    def _greet(self) -> None:
        """Tell the session; before it is known its client's announcement will."""
        if self._call.session is not None:
            event = {
                "type": "session.created",
                "event_id": self._call.ids.next(),
                "session": self._call.session,
            }
            with contextlib.suppress(orjson.JSONEncodeError):  # it reads deeper
                self.tell(orjson.dumps(event))

    def _take(self, payload: bytes) -> None:
        assert self._client is not None
        event = self._intake.read(payload, asyncio.get_running_loop().time())
        if isinstance(event, Flood):
            self._client.close(POLICY_VIOLATION, FLOOD_REASON)
        else:
            self._call.take(event, sender=self)
