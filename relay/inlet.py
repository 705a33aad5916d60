"""What comes from an upstream, sorted: for the client, for the relay, for nobody.

Errors about the relay's own events or key stay here, what is no event goes nowhere, and
the opening is held back until it can tell what holds: see `opening`. An upstream that
refuses what a client secret locks gets no session.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from relay import opening
from relay.metrics import Traffic
from relay.nobody import nobody
from relay.opening import Opening
from relay.upstream import events
from relay.upstream.events import OwnError, UpstreamEvent
from relay.upstream.port import UpstreamRefused
from relay.upstream.protocol import LOCK_ID

log = logging.getLogger(__name__)


class Inlet:
    """The way of one upstream's events to a session's client.

    Args:
        updates: How many of the relay's own were sent first.
        locks: The first of them says what a client secret locks.
        traffic: Counts what is kept from the client.
        deliver: Takes each event that passes, as the bytes it came in, and the id of
            the client's event that caused it, if it is an error with one.
        fields: Name the session in the log.
    """

    def __init__(
        self,
        *,
        updates: int,
        locks: bool,
        traffic: Traffic,
        deliver: Callable[[bytes, str | None], None],
        fields: Mapping[str, object],
    ) -> None:
        self.session: Mapping[str, Any] = {}
        """As the upstream last told it; empty before it has."""
        self._opening = Opening(updates)
        self._awaits_lock = locks
        self._traffic = traffic
        self._deliver = deliver
        self._fields = fields
        self._timer: asyncio.TimerHandle | None = None

    @property
    def has_told(self) -> bool:
        """The client knows the session."""
        return self._opening.is_open and bool(self.session)

    def connected(self) -> None:
        """Begin to wait for the opening's answer."""
        log.info("upstream connected", extra=self._fields)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(opening.TIMEOUT_S, self.give_up)

    def take(self, event: UpstreamEvent, message: bytes) -> None:
        """Sort an event that is no audio of a call.

        Raises:
            UpstreamRefused: The upstream does not take what is locked.
        """
        caused_by = None
        match event:
            case OwnError():
                self._keep(event)
                return
            case events.Malformed():
                self._traffic.events_malformed += 1
                return
            case events.SessionConfigured(session=session):
                self.session = {**self.session, **session}
                if event.is_answer:
                    self._awaits_lock = False
            case events.Failure(caused_by=None) if self._awaits_lock:
                raise _lock_refused("none")
            case events.Failure():
                caused_by = event.caused_by
            case _:
                pass
        for passing in self._opening.take(message):
            self._deliver(passing, caused_by if passing is message else None)

    def give_up(self) -> None:
        """Wait no longer for the opening's answer."""
        for held in self._opening.give_up():
            self._deliver(held, None)

    def _keep(self, error: OwnError) -> None:
        self._traffic.own_errors += 1
        fields = {**self._fields, "code": error.code}
        log.debug("upstream refused an event of the relay's", extra=fields)
        if error.caused_by == LOCK_ID:
            raise _lock_refused(error.code)

    def close(self) -> None:
        """Stop waiting, and deliver nothing more."""
        if self._timer:
            self._timer.cancel()
        self._deliver = nobody


def _lock_refused(code: str) -> UpstreamRefused:
    return UpstreamRefused(
        "locked_session_refused",
        "The Realtime API does not take the session that the client secret locks "
        f"(error code: {code}).",
    )
