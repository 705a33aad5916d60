"""Both ends of a link's direction, and links, with lanes and without."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from proto import laneless, link, wire
from proto.errors import RemoteError
from proto.liveness import Liveness
from proto.messages import Kind
from proto.seal import Opener, Sealer
from proto.stats import Rtt

try:
    from proto.lane import FrameOpener, FrameSealer
except ImportError:  # not compiled
    from proto.laneless import FrameOpener, FrameSealer

LANES: Final = FrameSealer, FrameOpener
LANELESS: Final = laneless.FrameSealer, laneless.FrameOpener
"""Both are the same where no lane was compiled."""

SECRET: Final = bytes(range(32))


def use(way: tuple[Any, Any], patch: pytest.MonkeyPatch) -> None:
    """Have what begins from now on go one way: `LANES` or `LANELESS`."""
    for name, lane in zip(("FrameSealer", "FrameOpener"), way, strict=True):
        patch.setattr(link, name, lane)


@contextmanager
def without_lanes() -> Iterator[None]:
    """Have links come up without lanes."""
    with pytest.MonkeyPatch.context() as patch:
        use(LANELESS, patch)
        yield


class Ends:
    """Both ends of a direction, with lanes or without."""

    def __init__(self, kind: Kind, *, lanes: bool) -> None:
        self.sealer, self.opener = Sealer(SECRET, 0xFEDC_BA98, 0.0), Opener(SECRET)
        sealer_type, opener_type = LANES if lanes else LANELESS
        self.seal = sealer_type(self.sealer, kind).seal
        liveness = Liveness(Rtt(), 0.0)
        self._receive = opener_type(self.opener, kind, {}, liveness).receive

    def message(self, datagram: bytes) -> object:
        """Return the message in a datagram, or the type of the error."""
        try:
            opened = self._receive(datagram, 0.0)
            return wire.decode(opened) if type(opened) is bytes else opened
        except RemoteError as error:
            return type(error)

    @property
    def received(self) -> object:
        """What the opener knows."""
        opener = self.opener
        return opener.newest, opener.opened, opener._epoch, opener._seen.tobytes()

    @property
    def state(self) -> object:
        """What both ends know."""
        sealer = self.sealer
        return sealer.counter, sealer._left, sealer._epoch, self.received


def figures(of: link.Link) -> dict[str, object]:
    """Return all that a link counts."""
    stats = vars(of.stats)
    return {**stats, "frames": stats["frames"].fields()}
