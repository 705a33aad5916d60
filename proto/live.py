"""A link in a running event loop: core, peer address, timer, and the session objects.

The thin shell around `proto.link`: it reads the loop's clock, hands what the core has
ready to the socket before it returns, keeps one timer, and hands events to the
receivers that the services gave. A receiver that raises is our bug: it is logged with
its traceback and costs its own session, never the link.
"""

import asyncio
import functools
import logging
import math
from collections.abc import Callable
from typing import Protocol, TypeVar

from proto.errors import CloseCode
from proto.events import (
    Closed,
    Event,
    EventReceived,
    FlushDone,
    FlushRequested,
    LinkDown,
    LinkUp,
    Offered,
    Opened,
)
from proto.frames import DownFrame, UpFrame
from proto.link import Link
from proto.payload import Payload
from proto.port import Deaf, Role
from proto.session import Session, SessionState
from proto.stats import FrameCounts
from runtime.udp import UdpAddress

T = TypeVar("T")
log = logging.getLogger(__name__)


class SessionReceiver(Protocol):
    """What a service gives for each session; called in the loop, must not block."""

    def opened(self) -> None:
        """Edge: the relay accepted."""

    def event_received(self, payload: bytes) -> None:
        """Take one Realtime event as JSON text, in order, exactly once."""

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        """Take the next frame; never one twice."""

    def frames_lost(self, count: int) -> None:
        """Take note that `count` frames before the next one will not come."""

    def flush_requested(self, talkspurt: int) -> None:
        """Edge: drop all queued audio of talkspurts up to this one, now."""

    def flush_done(self, talkspurt: int, heard_samples: int) -> None:
        """Relay: what was heard, and of which talkspurt (0: nothing was, ever)."""

    def closed(self, code: CloseCode, reason: str) -> None:
        """Last call, exactly once, unless we closed the session ourselves."""


class LinkSession:
    """One session, either end. What it sends leaves as this turn of the loop ends.

    Attributes:
        send_up: Edge: sends a frame; it is counted and dropped when not open.
        send_down: Relay: likewise.
        frame_received: Takes each frame of the peer's.
    """

    __slots__ = (
        "_core",
        "_live",
        "_receiver",
        "_sender",
        "frame_received",
        "id",
        "send_down",
        "send_up",
    )

    def __init__(self, live: "LiveLink", core: Session) -> None:
        self.id = core.id
        self._live = live
        self._core = core
        self._receiver: SessionReceiver | None = None
        self.frame_received: Callable[[UpFrame | DownFrame], None]
        self._sender = live.core.frame_sealer.sender(core.audio, live)
        self.send_up = self.send_down = self._sender.send

    @property
    def is_open(self) -> bool:
        """Audio and events may be sent."""
        return self._core.state is SessionState.OPEN

    @property
    def frame_counts(self) -> FrameCounts:
        """What became of its audio frames, up to now; also when it has ended."""
        return self._core.audio.counts()

    @property
    def offered(self) -> tuple[Payload, ...]:
        """What the audio may be carried as besides PCM, the best first."""
        return self._core.offered

    @property
    def payload(self) -> Payload:
        """What the audio is carried as; settled when the session is open."""
        return self._core.payload

    @property
    def unsent_frames(self) -> int:
        """Frames that were not sent, for the session was not open."""
        return self._sender.unsent

    def send_event(self, payload: bytes) -> None:
        """Send one Realtime event as JSON text, at most 1 MiB.

        Raises:
            NotConnected: The session is not open, nor being opened by us.
            Backlogged: 4 MiB or 8,192 fragments already wait for the peer.
            LocalError: The event is too long.
        """
        self._core.send_event(payload)
        self._live.settle(self._core)

    def flush(self, talkspurt: int) -> None:
        """Relay: have the edge drop audio of talkspurts up to this one.

        Answered by `flush_done`. A flush takes the place of one not answered yet.

        Raises:
            NotConnected: The session is not open.
        """
        self._core.flush(talkspurt, self._live.now())
        self._live.settle(self._core)

    def flushed(self, talkspurt: int, heard_samples: int) -> None:
        """Edge: answer the newest `flush_requested`."""
        self._core.flushed(talkspurt, heard_samples)
        self._live.settle(self._core)

    def accept(self, payload: Payload = Payload.PCM) -> None:
        """Relay: take the session, once, with one of the payloads offered.

        Raises:
            LocalError: It is not on offer (any more).
        """
        self._core.accept(payload)
        self._live.settle(self._core)

    def close(self, code: CloseCode = CloseCode.NORMAL, reason: str = "") -> None:
        """End the session, or refuse it; calls after the first do nothing."""
        self.let_go()
        self._live.forget(self)
        self._core.close(code, reason, self._live.now())
        self._live.settle(self._core)

    # From the core

    def attach(self, receiver: SessionReceiver) -> None:
        """Give this session its receiver."""
        self._receiver = receiver
        self.frame_received = receiver.frame_received
        self._core.audio.sink = self

    def let_go(self) -> None:
        """Tell the receiver nothing more; it, or we, would wait for a collection."""
        self._receiver = None
        self._core.audio.sink = deaf = Deaf()
        self.frame_received = deaf.frame_received

    def hear(self, frame_received: Callable[[UpFrame | DownFrame], None]) -> None:
        """Have the receiver's frames taken by this from now on."""
        self.frame_received = frame_received

    def failed(self, error: Exception) -> None:
        """End the session, for its receiver has raised."""
        log.error("receiver failed", exc_info=error, extra={"session": self.id})
        if self._receiver is not None:
            self._give_up(self._receiver)

    def frames_lost(self, count: int) -> None:
        """Pass a loss on."""
        receiver = self._receiver
        if receiver is not None:
            self._have(receiver.frames_lost, count)

    def take(self, event: Event) -> None:
        """Pass an event on."""
        receiver = self._receiver
        if receiver is not None:
            self._have(functools.partial(_tell, receiver), event)

    def _have(self, take: Callable[[T], None], what: T) -> None:
        """Have a receiver take something; if it raises, its session ends."""
        try:
            take(what)
        except Exception as error:  # noqa: BLE001  # logged there
            self.failed(error)

    def _give_up(self, receiver: SessionReceiver) -> None:
        """End the session of a receiver that has raised; it is told so, too."""
        self.close(CloseCode.INTERNAL, "internal error")
        try:
            receiver.closed(CloseCode.INTERNAL, "internal error")
        except Exception:
            log.exception("receiver failed to close", extra={"session": self.id})


def _tell(receiver: SessionReceiver, event: Event) -> None:
    match event:
        case EventReceived(_, payload):
            receiver.event_received(payload)
        case Opened():
            receiver.opened()
        case FlushRequested(_, talkspurt):
            receiver.flush_requested(talkspurt)
        case FlushDone(_, talkspurt, heard_samples):
            receiver.flush_done(talkspurt, heard_samples)
        case Closed(_, code, reason):
            receiver.closed(code, reason)
        case _:
            raise TypeError(f"no event of a session: {event}")


class LiveLink:
    """One link, its peer's address, its timer and its sessions.

    Args:
        core: The link.
        send: Sends a datagram to an address, now.
        address: The peer's. A listener follows it when an authentic, newer datagram
            has another; a dialer sends to the one it dialled (PROTOCOL.md 4).
        accept: Listener: gives the receiver of a session asked for; None: it has closed
            the session.
        changed: Called when the link is up, and when it is down, with a reason.
    """

    def __init__(
        self,
        core: Link,
        send: Callable[[bytes, UdpAddress], None],
        address: UdpAddress,
        accept: Callable[[LinkSession, bytes], SessionReceiver | None] | None,
        changed: Callable[["LiveLink", str | None], None],
    ) -> None:
        self.core = core
        self.address = address
        self.send = send
        self._accept = accept
        self._changed = changed
        self._sessions: dict[int, LinkSession] = {}
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._drain()

    def receive(self, datagram: bytes, address: UdpAddress) -> None:
        """Take a datagram with this link's id. HOT PATH."""
        core = self.core
        if core.receive_datagram(datagram, self.now()) and address != self.address:
            self._follow(address)
        if core.outgoing or core.events:
            self._drain()
        elif core.deadline < self._timer_at:
            self._rearm()

    def transmit(self, datagram: bytes) -> None:
        """Send a sealed frame. HOT PATH."""
        self.send(datagram, self.address)
        if self.core.outgoing:
            self._transmit()
        elif self.core.deadline < self._timer_at:
            self._rearm()

    def settle(self, session: Session) -> None:
        """Send what a command on a session has made ready."""
        self.core.settle(session, self.now())
        self._transmit()

    def open_session(
        self,
        request: bytes,
        receiver: SessionReceiver,
        payloads: tuple[Payload, ...] = (),
    ) -> LinkSession:
        """Ask the peer for a session, its audio carried as one of `payloads`, or PCM.

        Raises:
            NotConnected: The link is not up.
        """
        core = self.core.open_session(request, self.now(), payloads)
        session = LinkSession(self, core)
        session.attach(receiver)
        self._sessions[core.id] = session
        self._transmit()
        return session

    def forget(self, session: LinkSession) -> None:
        """Tell a session nothing more."""
        self._sessions.pop(session.id, None)

    def leave(self, reason: str) -> None:
        """End the link and tell the peer."""
        self.core.leave(CloseCode.DRAINING, reason)
        self._drain()

    def _follow(self, address: UdpAddress) -> None:
        if self.core.role is Role.LISTENER:
            log.info("peer moved", extra={"link": self.core.id, "port": address[1]})
            self.address = address

    def _on_timer(self) -> None:
        due_at = self._timer_at
        self._timer = None
        self._timer_at = math.inf
        # A loop that counts in milliseconds may ring a fraction of one early; what was
        # found not due then would ring again at once, and again, until it was.
        self.core.handle_timeout(max(self.now(), due_at))
        self._drain()

    def _drain(self) -> None:
        """Send first, then tell: a receiver may send more, and `settle` sends that."""
        self._transmit()
        while self.core.events:
            for event in self.core.take_events():
                self._dispatch(event)

    def _transmit(self) -> None:
        for datagram in self.core.take_datagrams():
            self.send(datagram, self.address)
        if self.core.deadline < self._timer_at:
            self._rearm()

    def _rearm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self.core.deadline
        self._timer = self._loop.call_at(self._timer_at, self._on_timer)

    def _dispatch(self, event: Event) -> None:
        match event:
            case LinkUp():
                self._changed(self, None)
            case LinkDown(reason):
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None
                self._changed(self, reason)
            case Offered(number, request, _):
                self._offer(number, request)
            case _:
                session = self._sessions.get(event.session)
                if session is None:
                    return
                session.take(event)
                if type(event) is Closed:
                    self.forget(session)
                    session.let_go()

    def _offer(self, number: int, request: bytes) -> None:
        core = self.core.sessions.get(number)
        if core is None or self._accept is None:
            return
        session = LinkSession(self, core)
        self._sessions[number] = session
        try:
            receiver = self._accept(session, request)
        except Exception:
            log.exception("session could not be accepted", extra={"session": number})
            session.close(CloseCode.INTERNAL, "internal error")
        else:
            if receiver is not None:
                session.attach(receiver)
