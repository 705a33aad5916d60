"""What the compiled lane shares with the link's objects: fields, not to be asked for.

Where this is compiled, `fields.pxd` gives each the type it has in C: the lane reads and
writes them as fast as its own, and all others as before. An object that a frame passes
is cold by the time the next one comes, and to ask it for five attributes took as long
as to open the frame.

Each class is the base of the one in its name and has no methods.
"""

from typing import Any


class AudioFields:
    """Of `audio.Audio`."""

    __slots__ = (
        "_grain_bytes",
        "_head_samples",
        "_history",
        "_is_speaking",
        "_max_bytes",
        "_order",
        "is_open",
        "sent_at",
        "sink",
    )

    _grain_bytes: int
    _head_samples: int
    _history: Any
    _is_speaking: bool
    _max_bytes: int
    _order: Any
    is_open: bool
    sent_at: float
    sink: Any


class HistoryFields:
    """Of `order.History`."""

    __slots__ = ("_frames", "seq")

    _frames: list[Any]
    seq: int


class LivenessFields:
    """Of `liveness.Liveness`."""

    __slots__ = ("heard_at",)

    heard_at: float


class OpenerFields:
    """Of `seal.Opener`."""

    __slots__ = ("_epoch", "newest", "opened")

    _epoch: int
    newest: int
    opened: int


class OrderFields:
    """Of `order.Order`."""

    __slots__ = ("_gaps", "_newest", "next_seq")

    _gaps: dict[int, Any]
    _newest: int
    next_seq: int


class SealerFields:
    """Of `seal.Sealer`."""

    __slots__ = ("_epoch", "_left", "counter")

    _epoch: int
    _left: int
    counter: int


class SessionFields:
    """Of `session.Session`."""

    __slots__ = ("audio",)

    audio: Any
