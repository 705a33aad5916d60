"""Whether what is over is freed at once, by its last reference."""

import contextlib
import gc
import weakref
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Have nothing freed that holds itself in a circle."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def still_held(play: Callable[[], tuple[object, ...]]) -> list[object]:
    """Return the parts that something holds, of those a play gives when it is over."""
    with no_collection():
        held = [weakref.ref(part) for part in play()]
        return [part for part in (one() for one in held) if part is not None]
