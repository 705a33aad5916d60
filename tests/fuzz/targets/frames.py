"""A link's frames, sealed and opened by lanes and without them.

Where none were compiled, the reference is compared with itself; so it is in `leg`.
"""

from collections.abc import Callable
from typing import Final

from proto.frames import DownFrame, UpFrame
from proto.messages import Kind
from proto.seal import EPOCH_S, REPLAY_WINDOW
from proto.wire import MIN_DATAGRAM_BYTES
from tests.fuzz.draw import Draw
from tests.fuzz.targets.codec import message_like
from tests.fuzz.targets.greeting import changed
from tests.proto.lanes import Ends

SIZES_BYTES: Final = (1, 2, 255, 256, 960, 999, 1000, 1001, 0)
SKIPS: Final = (0, 1, 2, REPLAY_WINDOW - 2, REPLAY_WINDOW - 1, REPLAY_WINDOW, 1 << 32)


def frames(data: bytes) -> None:
    """Frames, and what is none, are sealed and opened alike, in any order."""
    draw = Draw(data)
    kind = draw.choice((Kind.UP, Kind.DOWN))
    ours, reference = Ends(kind, lanes=True), Ends(kind, lanes=False)
    made: list[bytes] = []
    while draw.has_more:
        seal = _sealing(draw, kind)
        datagram = seal(ours)
        assert datagram == seal(reference)
        made.append(datagram)
        if draw.chance(0.2):
            _check_opened(changed(datagram, draw), ours, reference)
        if draw.chance(0.8):
            arriving = draw.choice((datagram, datagram, datagram, draw.choice(made)))
            _check_opened(arriving, ours, reference)
        assert ours.state == reference.state


def _sealing(draw: Draw, kind: Kind) -> Callable[[Ends], bytes]:
    """Draw what is sealed next: a frame, most often."""
    match draw.byte() % 8:
        case 0:
            plaintext = message_like(draw)
        case 1:
            plaintext = draw.short()
        case 2:
            return _later(draw.choice(SKIPS), is_old=draw.chance(0.3))
        case _:
            session, seq, first, second, third = (draw.number() for _ in range(5))
            frame_type = UpFrame if kind is Kind.UP else DownFrame
            payload = bytes(draw.choice(SIZES_BYTES))
            frame = frame_type(first, second, third, payload)
            return lambda ends: ends.seal(session, seq, frame)
    return lambda ends: ends.sealer.seal(plaintext)


def _later(skipped: int, *, is_old: bool) -> Callable[[Ends], bytes]:
    """Return what seals the first datagram after others, or with another key."""

    def seal(ends: Ends) -> bytes:
        if is_old:
            ends.sealer.rotate_if_old(ends.sealer._epoch_began + EPOCH_S)
        ends.sealer.counter += skipped
        return ends.sealer.seal(b"")

    return seal


def _check_opened(datagram: bytes, ours: Ends, reference: Ends) -> None:
    if len(datagram) >= MIN_DATAGRAM_BYTES:  # a link drops others
        message, expected = ours.message(datagram), reference.message(datagram)
        assert message == expected
        assert type(message) is type(expected)
