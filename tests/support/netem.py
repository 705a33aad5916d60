"""A seeded network in virtual time, and both ends of a link on it.

`Path` decides the fate of each datagram; `Lab` moves time from one event to the next.
Nothing here reads a clock, so a run is repeated exactly by its seed, which every test
prints.
"""

import functools
import heapq
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from proto.errors import RemoteError
from proto.events import Event, LinkUp, Offered
from proto.frames import DownFrame, UpFrame
from proto.handshake import DialerHandshake, LinkKey, ListenerHandshake
from proto.link import Link
from proto.session import Session

KEY = bytes(range(32))
PCM = b"\x01\x02"
FRAME_S = 0.02


@dataclass
class Path:
    """One direction: delay and jitter in seconds, shares of 1 lost and doubled.

    `burst` datagrams are lost together, so that the share lost stays the same; within
    `cut` (from, to) everything is.
    """

    rng: random.Random
    delay_s: float = 0.04
    jitter_s: float = 0.0
    loss: float = 0.0
    burst: int = 1
    duplicate: float = 0.0
    cut: tuple[float, float] = (0.0, 0.0)
    sent: int = 0
    lost: int = 0
    _losing: int = 0

    def arrivals(self, now: float) -> Iterator[float]:
        """Yield when the datagram sent now arrives: never, once or twice."""
        self.sent += 1
        if not self._losing and self.rng.random() < self.loss / self.burst:
            self._losing = self.burst
        if self._losing or self.cut[0] <= now < self.cut[1]:
            self._losing = max(0, self._losing - 1)
            self.lost += 1
            return
        copies = 2 if self.rng.random() < self.duplicate else 1
        for _ in range(copies):
            yield now + self.delay_s + self.rng.random() * self.jitter_s


@dataclass
class Ear:
    """The sink of one session: what arrived, and when."""

    lab: "Lab"
    frames: list[tuple[float, UpFrame | DownFrame]] = field(default_factory=list)
    lost: int = 0

    def frame_received(self, frame: UpFrame | DownFrame) -> None:
        self.frames.append((self.lab.now, frame))

    def failed(self, error: Exception) -> None:
        raise error

    def frames_lost(self, count: int) -> None:
        self.lost += count

    @property
    def positions(self) -> list[int]:
        return [frame.position_samples for _, frame in self.frames]


@dataclass
class End:
    """One process: its links by id, what they told, and an ear for each session.

    Its own clock runs `clock_rate` times as fast as the lab's; what is kept of when
    something happened is the lab's time.
    """

    lab: "Lab"
    path: Path
    clock_rate: float = 1.0
    links: dict[int, Link] = field(default_factory=dict)
    told: list[tuple[float, Event]] = field(default_factory=list)
    ears: dict[int, Ear] = field(default_factory=dict)
    answering: ListenerHandshake | None = None
    on_event: Callable[[Link, Event, float], None] | None = None

    @property
    def now(self) -> float:
        """Its own time in seconds."""
        return self.lab.now * self.clock_rate

    def when(self, deadline: float) -> float:
        """Return the lab's time at which its own clock shows `deadline`."""
        return deadline / self.clock_rate

    @property
    def link(self) -> Link:
        """The newest link."""
        return next(reversed(self.links.values()))

    def events(self, kind: type[Event]) -> list[Event]:
        return [event for _, event in self.told if type(event) is kind]

    def receive(self, datagram: bytes) -> None:
        link = self.links.get(int.from_bytes(datagram[4:8], "big"))
        if link is not None:
            link.receive_datagram(datagram, self.now)
        elif self.answering is not None:
            self._greet(self.answering, datagram)

    def _greet(self, handshake: ListenerHandshake, datagram: bytes) -> None:
        try:
            if datagram[1] == 1:
                self.lab.carry(self, handshake.welcome(datagram, self.now))
            elif datagram[1] == 3:
                ends = handshake.finished(datagram, self.now)
                self.links[ends.link_id] = Link.answer(ends, self.now)
        except RemoteError:
            pass

    def handle_timeouts(self) -> None:
        for link in tuple(self.links.values()):
            if self.when(link.deadline) <= self.lab.now:
                link.handle_timeout(max(self.now, link.deadline))

    def drain(self) -> None:
        """Send and tell what the links have ready."""
        for link in tuple(self.links.values()):
            while link.outgoing or link.events:
                for datagram in link.take_datagrams():
                    self.lab.carry(self, datagram)
                for event in link.take_events():
                    self._tell(link, event)

    def _tell(self, link: Link, event: Event) -> None:
        self.told.append((self.lab.now, event))
        if type(event) is Offered:
            self.listen(link.sessions[event.session])
        if self.on_event is not None:
            self.on_event(link, event, self.now)

    def listen(self, session: Session) -> Ear:
        ear = self.ears[session.id] = Ear(self.lab)
        session.audio.sink = ear
        return ear

    def say(self, session: Session, frame: UpFrame | DownFrame) -> float:
        """Send a frame; return when it arrives unless it is lost: then math.inf."""
        datagram = session.audio.seal_frame(frame, self.now)
        arrives = math.inf if datagram is None else self.lab.carry(self, datagram)
        for link in self.links.values():
            for other in link.take_datagrams():
                self.lab.carry(self, other)
        return arrives


class Lab:
    """An edge and a relay with a network between them, in virtual time."""

    def __init__(self, seed: int, **path: float) -> None:
        print(f"seed {seed}")  # noqa: T201  # repeats a failed run
        self.rng = random.Random(seed)
        self.now = 1000.0
        self._order = 0
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self.edge = End(self, Path(self.rng, **path))  # type: ignore[arg-type]  # floats and ints
        self.relay = End(self, Path(self.rng, **path))  # type: ignore[arg-type]  # the same
        self.relay.on_event = accept_all
        self.restart_relay()

    def restart_relay(self) -> None:
        """Forget all that the relay's process knew."""
        self.relay.links.clear()
        self.relay.answering = ListenerHandshake(
            (LinkKey(KEY),), self.rng.randbytes(32)
        )

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do something at a time."""
        self._order += 1
        heapq.heappush(self._queue, (when, self._order, action))

    def carry(self, sender: End, datagram: bytes) -> float:
        """Put a datagram on its way; return when it first arrives, math.inf: never."""
        receiver = self.relay if sender is self.edge else self.edge
        arrivals = list(sender.path.arrivals(self.now))
        for when in arrivals:
            self.at(when, lambda: receiver.receive(datagram))
        return min(arrivals, default=math.inf)

    def dial(self, key: bytes = KEY) -> Link:
        """Begin a link."""
        link_id = self.rng.randrange(1, 1 << 32)
        handshake = DialerHandshake(LinkKey(key), link_id, self.rng.randbytes(32))
        link = self.edge.links[link_id] = Link.dial(handshake, self.edge.now)
        self._drain()
        return link

    def connect(self) -> Link:
        """Dial until the link is up."""
        link = self.dial()
        while LinkUp() not in [event for _, event in self.edge.told]:
            if not link.deadline < math.inf:
                link = self.dial()
            self.run(0.05)
        return link

    def open(self, count: int = 1) -> list[Session]:
        """Open sessions and wait until they are accepted."""
        link = self.edge.link
        sessions = []
        for _ in range(count):
            session = link.open_session(b"{}", self.edge.now)
            self.edge.listen(session)
            sessions.append(session)
        while not all(session.audio.is_open for session in sessions):
            self.run(0.05)
        return sessions

    def peer(self, session: Session) -> Session:
        """Return the relay's end of a session."""
        return self.relay.link.sessions[session.id]

    def run(self, duration_s: float) -> None:
        """Let time pass."""
        until = self.now + duration_s
        self._drain()
        while (when := self._next()) <= until:
            self.now = max(self.now, when)
            while self._queue and self._queue[0][0] <= self.now:
                heapq.heappop(self._queue)[2]()
                self._drain()
            for end in (self.edge, self.relay):
                end.handle_timeouts()
            self._drain()
        self.now = until

    def _next(self) -> float:
        times = [
            end.when(link.deadline)
            for end in (self.edge, self.relay)
            for link in end.links.values()
        ]
        if self._queue:
            times.append(self._queue[0][0])
        return min(times, default=math.inf)

    def _drain(self) -> None:
        self.edge.drain()
        self.relay.drain()


def accept_all(link: Link, event: Event, now: float) -> None:
    """Accept each session offered, as the plainest relay would."""
    if type(event) is Offered:
        session = link.sessions[event.session]
        session.accept()
        link.settle(session, now)


def talk(lab: Lab, session: Session, seconds: float, lead_ms: int) -> int:
    """Schedule frames both ways, one each 20 ms; return how many each way."""
    count = round(seconds / FRAME_S)
    offset_s = lab.rng.random() * FRAME_S
    peer = lab.peer(session)

    def speak(number: int) -> None:
        lab.edge.say(session, UpFrame(number, 0, 0, PCM))
        lab.relay.say(peer, DownFrame(1, number, lead_ms, PCM))

    for number in range(count):
        lab.at(lab.now + offset_s + number * FRAME_S, functools.partial(speak, number))
    return count
