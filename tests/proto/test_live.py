"""What is left of a session on a live link when it is closed."""

from types import SimpleNamespace
from typing import Any, cast

from proto.live import LinkSession, SessionReceiver
from proto.session import Session


class IdleLink:
    """A link that does nothing."""

    def __init__(self) -> None:
        sealer = SimpleNamespace(sender=lambda *_: SimpleNamespace(send=None))
        self.core = SimpleNamespace(frame_sealer=sealer)

    def now(self) -> float:
        return 5.0

    def forget(self, session: LinkSession) -> None: ...

    def settle(self, core: Session) -> None: ...


class Closable:
    """The core of a session that can be closed."""

    id = 1

    def __init__(self) -> None:
        self.audio = SimpleNamespace(seal_frame=None, sink=None)

    def close(self, *_: object) -> None: ...


def test_a_session_that_is_closed_is_held_by_nothing_it_holds() -> None:
    link: Any = IdleLink()
    core: Any = Closable()
    session = LinkSession(link, core)
    receiver = SimpleNamespace(frame_received=print)
    session.attach(cast(SessionReceiver, receiver))
    assert core.audio.sink is session
    session.hear(input)
    session.close()
    assert core.audio.sink is not session
    assert session.frame_received not in (print, input)
