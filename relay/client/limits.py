"""How much, how deep and how fast: bounds on what one client sends.

All is counted in bytes, because clients cut the same second of audio into 10 or into
100 events, and some send a whole recording at once. What is no audio is counted in
events too. What is refused costs the relay as much as what is not, so it has a bound
of its own, beyond which the client is let go.
"""

from typing import Any

from proto import nesting

MAX_MARKS = 200_000
"""Brackets and commas in one event, those in its texts too. A value costs up to 70
bytes of memory and 0.1 us, and everyone waits: measured, 16 MiB of nothing but empty
lists are 390 MB and one second. So many are 14 MB and 20 ms."""

BYTES_PER_S = 1_048_576
"""Sustained rate of all events, in bytes of JSON: 16 times real time for PCM at 24 kHz
in base64, which is 64,000."""

BURST_BYTES = 33_554_432
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

REFUSED_BYTES = 65_536
"""A refused event of as many bytes counts as two, and so on."""


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
        self._bytes = TokenBucket(BYTES_PER_S, BURST_BYTES)
        self._events = TokenBucket(EVENTS_PER_S, EVENTS_BURST)
        self._refused = TokenBucket(EVENTS_PER_S, EVENTS_BURST)

    def take_append(self, event_bytes: int, now: float) -> bool:
        """Take an `input_audio_buffer.append`; False if it comes too fast."""
        return self._bytes.take(event_bytes + APPEND_BYTES, now)

    def take_event(self, event_bytes: int, now: float) -> bool:
        """Take any other event; False if it comes too fast."""
        return self._events.take(1, now) and self._bytes.take(event_bytes, now)

    def take_refused(self, event_bytes: int, now: float) -> bool:
        """Take an event that is refused; False if there have been too many."""
        return self._refused.take(1 + event_bytes / REFUSED_BYTES, now)


def has_too_many_values(payload: bytes) -> bool:
    """Return whether JSON text has more than `MAX_MARKS`; before it is read."""
    return (
        len(payload) > MAX_MARKS
        and sum(payload.count(mark) for mark in (b"{", b"[", b",")) > MAX_MARKS
    )


def is_too_deep(payload: bytes, value: Any) -> bool:
    """Return whether JSON has more than `MAX_DEPTH` levels.

    Text with no more opening brackets than that cannot, which spares nearly every
    event the walk.

    Args:
        payload: The text.
        value: What was read from it.
    """
    brackets = payload.count(b"{") + payload.count(b"[")
    return brackets > nesting.MAX_DEPTH and nesting.is_too_deep(value)
