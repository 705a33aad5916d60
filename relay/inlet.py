"""What comes from an upstream, sorted: for the client, for the relay, for nobody.

Errors about the relay's own events or key stay here, what is no event goes nowhere, and
the opening is held back until it can tell what holds: see `opening`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from relay import opening
from relay.metrics import Traffic
from relay.opening import Opening
from relay.upstream import events
from relay.upstream.events import UpstreamEvent

log = logging.getLogger(__name__)


class Inlet:
    """The way of one upstream's events to a session's client.

    Args:
        waits: For the answer to an update of the relay's own, which was sent first.
        traffic: Counts what is kept from the client.
        deliver: Takes each event that passes, as the bytes it came in, and the id of
            the client's event that caused it, if it is an error with one.
        fields: Name the session in the log.
    """

    def __init__(
        self,
        *,
        waits: bool,
        traffic: Traffic,
        deliver: Callable[[bytes, str | None], None],
        fields: Mapping[str, object],
    ) -> None:
        self.session: Mapping[str, Any] = {}
        """As the upstream last told it; empty before it has."""
        self._opening = Opening()
        if not waits:
            self._opening.give_up()
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
        """Sort an event that is no audio of a call."""
        caused_by = None
        match event:
            case events.OwnError(code):
                self._traffic.own_errors += 1
                log.debug(
                    "upstream refused an event of the relay's",
                    extra={**self._fields, "code": code},
                )
                return
            case events.Malformed():
                self._traffic.events_malformed += 1
                return
            case events.SessionConfigured(session=session):
                self.session = {**self.session, **session}
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

    def close(self) -> None:
        """Stop waiting."""
        if self._timer:
            self._timer.cancel()
