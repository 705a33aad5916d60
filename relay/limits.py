"""How much, how deep and how fast: bounds on what one client sends.

Audio is counted in bytes, because clients cut the same second into 10 or into 100
events, and some send a whole recording at once. All else is counted in events.
"""

from collections.abc import Iterable
from typing import Any

MAX_DEPTH = 64
"""Levels of objects and arrays in one event. The API's own reach 12 (a tool's schema
excepted); the JSON writer used here stops at 254."""

AUDIO_BYTES_PER_S = 1_048_576
"""Sustained rate of `input_audio_buffer.append`, in bytes of JSON: 16 times real time
for PCM at 24 kHz in base64, which is 64,000."""

AUDIO_BURST_BYTES = 33_554_432
"""As much at once: over eight minutes of PCM, more than the five that an input buffer
of the built-in engine holds."""

APPEND_BYTES = 1_024
"""Charged for each append besides its own bytes. It bounds tiny ones to a thousand a
second; clients that append every 10 ms send a hundred."""

EVENTS_PER_S = 100
"""Sustained rate of all other events. People and programs in a conversation send fewer
than ten."""

EVENTS_BURST = 2_000
"""As many at once: a client that reconnects sends its history, one event an item."""


class TokenBucket:
    """Lets `burst` units pass at once and `rate_per_s` from then on."""

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._left = burst
        self._filled_s: float | None = None

    def take(self, amount: float, now: float) -> bool:
        """Take units if there are as many; False, and none taken, if not."""
        since_s = 0.0 if self._filled_s is None else max(0.0, now - self._filled_s)
        self._filled_s = now
        self._left = min(self._burst, self._left + since_s * self._rate_per_s)
        if amount > self._left:
            return False
        self._left -= amount
        return True


class Limits:
    """What one client may still send."""

    def __init__(self) -> None:
        self._audio = TokenBucket(AUDIO_BYTES_PER_S, AUDIO_BURST_BYTES)
        self._events = TokenBucket(EVENTS_PER_S, EVENTS_BURST)

    def take_append(self, event_bytes: int, now: float) -> bool:
        """Take an `input_audio_buffer.append`; False if it comes too fast."""
        return self._audio.take(event_bytes + APPEND_BYTES, now)

    def take_event(self, now: float) -> bool:
        """Take any other event; False if it comes too fast."""
        return self._events.take(1, now)


def is_too_deep(payload: bytes, value: Any) -> bool:
    """Return whether JSON has more than `MAX_DEPTH` levels.

    Text with no more opening brackets than that cannot, which spares nearly every
    event the walk.

    Args:
        payload: The text.
        value: What was read from it.
    """
    if payload.count(b"{") + payload.count(b"[") <= MAX_DEPTH:
        return False
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _containers_in(node)]
        if not level:
            return False
    return True


def _containers_in(node: Any) -> Iterable[Any]:
    children = node.values() if isinstance(node, dict) else node
    return [child for child in children if isinstance(child, dict | list)]
