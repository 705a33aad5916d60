"""What the listener tells its owner, in order."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Up:
    """A link exists."""

    link: int


@dataclass(frozen=True, slots=True)
class Down:
    """A link is gone, and all its sessions with it."""

    link: int
    code: int


@dataclass(frozen=True, slots=True)
class Offered:
    """A dialer asks for a session."""

    session: int
    request: bytes


@dataclass(frozen=True, slots=True)
class Frame:
    """An uplink frame, in order; pcm is int16 little-endian mono 24 kHz."""

    session: int
    seq: int
    position: int
    heard_talkspurt: int
    heard_samples: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class Missed:
    """So many frames before the next one were given up."""

    session: int
    frames: int


@dataclass(frozen=True, slots=True)
class Told:
    """An event of the dialer."""

    session: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Silent:
    """A flush was answered: what the caller hears before silence."""

    session: int
    talkspurt: int
    heard_samples: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A session is over."""

    session: int
    code: int
    reason: str = ""


Happening = Up | Down | Offered | Frame | Missed | Told | Silent | Ended
