"""A worker's heart: its loop tells the supervisor once a second that it turns."""

import asyncio
import contextlib
from collections.abc import Iterator

from runtime.pulse import BEAT_S
from runtime.worker import Worker


@contextlib.contextmanager
def beating(place: Worker) -> Iterator[None]:
    """Beat meanwhile, and rest afterwards: what then ends need not turn any more."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None

    def beat() -> None:
        nonlocal timer
        place.beat()
        timer = loop.call_later(BEAT_S, beat)

    beat()
    try:
        yield
    finally:
        if timer is not None:
            timer.cancel()
        place.rest()
