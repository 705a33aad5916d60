"""The second listener as the relay of a `Lab`: the project's dialer against it."""

from dataclasses import dataclass, field
from typing import Any, TypeVar

from proto.session import Session as EdgeSession
from tests.second.happenings import Happening, Offered
from tests.second.link import Link as SecondLink
from tests.second.listener import Listener
from tests.second.session import Session
from tests.support.netem import KEY, End, Lab

T = TypeVar("T")


@dataclass
class SecondRelay(End):
    """Bears the listener instead of links of ours; accepts what is offered."""

    links: Any = field(default_factory=lambda: {0: Listener([KEY], bytes(32))})
    happened: list[tuple[float, Happening]] = field(default_factory=list)
    refusal: int | None = None
    is_mute: bool = False

    @property
    def listener(self) -> Listener:
        """What the lab takes for a link: it, too, has a deadline."""
        listener: Listener = self.links[0]
        return listener

    @listener.setter
    def listener(self, listener: Listener) -> None:
        self.links[0] = listener

    def receive(self, datagram: bytes) -> None:
        if not self.is_mute:
            self.listener.receive(datagram, "edge", self.now)

    def handle_timeouts(self) -> None:
        self.listener.tick(self.now)

    def mute(self) -> None:
        """Hear, answer and send nothing of its own from now on."""
        self.is_mute = True
        self.link.sleep()

    def drain(self) -> None:
        while out := self.listener.drain(self.now):
            for datagram, _ in out:
                self.lab.carry(self, datagram)
        while self.listener.happenings:
            happening = self.listener.happenings.popleft()
            self.happened.append((self.lab.now, happening))
            if isinstance(happening, Offered):
                self._answer(happening.session)

    def _answer(self, number: int) -> None:
        session = self.session(number)
        if self.refusal is None:
            session.accept(self.now)
        else:
            session.close(self.refusal, "no", self.now)
        self.drain()

    @property
    def link(self) -> SecondLink:  # type: ignore[override]  # the second one's
        """Return the newest link."""
        return next(reversed(self.listener.links.values()))

    def session(self, number: int) -> Session:
        """Return the listener's end of a session."""
        return self.link.sessions[number]

    def those(self, kind: type[T]) -> list[T]:
        """Return what happened of one kind."""
        return [happening for _, happening in self.happened if type(happening) is kind]


class SecondLab(Lab):
    """A `Lab` whose relay is the second implementation."""

    def __init__(self, seed: int, **path: float) -> None:
        super().__init__(seed, **path)
        self.key = KEY
        self.second = SecondRelay(self, self.relay.path)
        self.relay = self.second

    def open(self, count: int = 1) -> list[EdgeSession]:
        sessions = super().open(count)
        self.run(0.5)
        return sessions

    def told(self, kind: type[T]) -> list[T]:
        """Return what the dialer's end told."""
        return [event for _, event in self.edge.told if isinstance(event, kind)]

    def cut_both(self, after_s: float, until_s: float) -> None:
        """Lose everything between two times from now."""
        for end in (self.edge, self.second):
            end.path.cut = (self.now + after_s, self.now + until_s)
