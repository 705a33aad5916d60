"""What an edge asks for over link and tunnel, and what the relay answers.

An id that never was, whose call has ended, or that is another tenant's gets the same
answer, so that ids cannot be tried out.
"""

import asyncio
import dataclasses
import functools
import logging
from collections.abc import Callable

from proto import tunnel
from proto.errors import CloseCode
from proto.request import SessionRequest
from proto.tunnel import (
    Attach,
    Converse,
    Describe,
    Facts,
    HangUp,
    Refused,
    TunnelRequest,
)
from proto.udp import LinkSession
from relay.client import beta
from relay.direct import DirectSession
from relay.door import ClientEnd, Conversation
from relay.pacer import Clock
from relay.session import Session
from relay.sessions import Call, Sessions
from relay.sideband import Sideband
from relay.turns import Turns
from relay.upstream.port import Upstream
from runtime.traces import SILENT, Steps, Tracer

log = logging.getLogger(__name__)

SESSION = "relay session"
"""Span: the relay's part of a call."""

_NOT_FOUND = Refused(404, "call_not_found", "There is no such call.")
_TOO_MANY = Refused(
    429, "too_many_connections", "As many servers as may be are attached to the call."
)
_DRAINING = Refused(503, tunnel.DRAINING, "The relay is shutting down.")


class Reception:
    """Opens sessions, and finds them again.

    Args:
        sessions: All of the process.
        tasks: Run the sessions that come over the link.
        connect: Makes the upstream of a session.
        clock: Sends the audio of all sessions.
        max_s: Seconds that a session may last.
        tracer: Tells of sessions.
    """

    def __init__(
        self,
        sessions: Sessions,
        tasks: asyncio.TaskGroup,
        connect: Callable[[SessionRequest], Upstream],
        clock: Clock,
        max_s: float,
        tracer: Tracer = SILENT,
    ) -> None:
        self.is_draining = False
        self._sessions = sessions
        self._tasks = tasks
        self._connect = connect
        self._clock = clock
        self._max_s = max_s
        self._tracer = tracer

    def accept(self, link: LinkSession, data: bytes) -> Session | None:
        """Take a call that is asked for over the link; None: it has been closed."""
        if self.is_draining:
            link.close(CloseCode.DRAINING, "the relay is shutting down")
            return None
        try:
            request = _in_ga(SessionRequest.decode(data))
        except ValueError as error:
            fields = {"session": link.id, "why": str(error)}  # the call is not known
            log.warning("session request refused", extra=fields)
            link.close(CloseCode.PROTOCOL, "the session request cannot be read")
            return None
        upstream = self._connect(request)
        trace = self._traced(request, Session.transport)
        session = Session(link, request, upstream, self._clock, self._max_s, trace)
        turns = None if self._tracer is SILENT else Turns(trace)
        sight = self._sessions.metrics.sight(is_live=upstream.is_live, turns=turns)
        session.watched_by(sight)
        self._sessions.add(session)
        self._tasks.create_task(self._sessions.hold(session, session.run))
        return session

    def answer(self, request: TunnelRequest) -> Conversation | Facts | Refused:
        """Answer what is asked for over the tunnel."""
        match request:
            case Converse(wishes):
                return _DRAINING if self.is_draining else self._converse(wishes)
            case Attach(call_id, tenant):
                return _attached(self._sessions.find(call_id, tenant), request)
            case HangUp(call_id, tenant):
                return _hung_up(self._sessions.find(call_id, tenant))
            case Describe(call_id, tenant):
                return _described(self._sessions.find(call_id, tenant))

    def _converse(self, wishes: SessionRequest) -> Conversation:
        request = _in_ga(wishes)
        trace = self._traced(request, DirectSession.transport)
        session = DirectSession(request, self._connect(request), self._max_s, trace)
        return _Held(session, self._sessions)

    def _traced(self, request: SessionRequest, transport: str) -> Steps:
        fields = {
            "tandem.call.id": request.call_id,
            "tandem.tenant": request.tenant,
            "tandem.transport": transport,
        }
        return Steps(self._tracer.begin(SESSION, fields, request.traceparent))


class _Held:
    """A WebSocket client's conversation, counted among the sessions."""

    def __init__(self, session: DirectSession, sessions: Sessions) -> None:
        self._session = session
        self._sessions = sessions

    async def run(self, client: ClientEnd) -> None:
        """Hold it."""
        run = functools.partial(self._session.run, client)
        await self._sessions.hold(self._session, run)


def _attached(call: Call | None, request: Attach) -> Conversation | Refused:
    if call is None:
        return _NOT_FOUND
    if call.session.audience.is_full:
        return _TOO_MANY
    return Sideband(call.session, speaks_beta=request.speaks_beta)


def _hung_up(call: Call | None) -> Facts | Refused:
    if call is None:
        return _NOT_FOUND
    call.session.close(CloseCode.NORMAL, "the call was hung up")
    return Facts({})


def _described(call: Call | None) -> Facts | Refused:
    if call is None:
        return _NOT_FOUND
    session = call.session
    held = session.session or {}
    return Facts(
        {
            "id": session.request.call_id,
            "object": "realtime.call",
            "created_at": call.created_at_unix_s,
            "model": held.get("model") or session.request.model,
            "status": "in_progress",
        }
    )


def _in_ga(request: SessionRequest) -> SessionRequest:
    """Return the request with its session objects in GA shape.

    Where one is locked whoever wrote the other: a field may not slip by in beta's name.
    """
    if not request.speaks_beta and request.bound is None:
        return request
    session, bound = (
        None if part is None else beta.session_to_ga(part)
        for part in (request.session, request.bound)
    )
    return dataclasses.replace(request, session=session, bound=bound)
