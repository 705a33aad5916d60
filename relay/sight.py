"""What is seen of one call's audio as it passes the relay."""

from collections.abc import Callable
from dataclasses import dataclass, field

from relay.turns import Turns
from runtime.stages import Stopwatch


def _unseen(_: float) -> None:
    """Take no note."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Nothing, unless told otherwise.

    Attributes:
        uplink: Times frames, from the link to the upstream.
        downlink: Times the model's audio, from the upstream to the link.
        answered: Gets how long a caller waited for the answer, seconds.
        turns: Tell of its turns; None: nobody hears of them.
    """

    uplink: Stopwatch = field(default_factory=Stopwatch)
    downlink: Stopwatch = field(default_factory=Stopwatch)
    answered: Callable[[float], None] = _unseen
    turns: Turns | None = None
