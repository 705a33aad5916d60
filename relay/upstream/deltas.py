"""HOT PATH: audio deltas read without parsing their JSON.

The deltas of one part of a response differ in their `event_id` and in their audio, and
in nothing else. So the first one is parsed, and from it is learnt what comes before,
between and after the two; a later one that has exactly that around an id of plain
characters and around strict base64 can mean nothing else than its parse would. Whatever
differs in any way is for the parser.

That holds because only what `orjson` itself would have written is learnt: each name
stands in it once, and neither a plain id nor base64 has a character that ends a string.
"""

import binascii
from typing import Any

import orjson
import pybase64

from relay.upstream.events import AudioDelta

_MARK = "\N{NULL}tandem\N{NULL}"
_WRITTEN_MARK = orjson.dumps(_MARK)[1:-1]
_PUNCTUATION = b"_-"
"""In ids, beside letters and digits."""

_TRIES = 3
"""Of learning from one part: where all its deltas differ, that only costs."""


class Deltas:
    """Reads the audio deltas of one connection.

    An upstream that writes its JSON in another way than `orjson` is learnt from no
    more.
    """

    def __init__(self) -> None:
        self._is_compact = True
        self._where: tuple[str, str, int] | None = None
        """Response, item and content part of the deltas that can be read."""
        self._tried: tuple[str, str, int] | None = None
        self._tries_left = _TRIES
        self._head = self._middle = self._tail = b""

    def read(self, message: bytes) -> AudioDelta | None:
        """Read a delta like the last one learnt; None: it is anything else."""
        where, head = self._where, self._head
        if where is None or not message.startswith(head):
            return None
        middle, tail = self._middle, self._tail
        id_at = len(head)
        id_end = message.find(b'"', id_at)
        if not message.startswith(middle, id_end) or not message.endswith(tail):
            return None
        if not message[id_at:id_end].translate(None, _PUNCTUATION).isalnum():
            return None
        audio_at, audio_end = id_end + len(middle), len(message) - len(tail)
        if audio_at > audio_end:  # the tail shares a quotation mark with the middle
            return None
        try:
            pcm = pybase64.b64decode(message[audio_at:audio_end], validate=True)
        except binascii.Error:
            return None
        response_id, item_id, content_index = where
        return AudioDelta(response_id, item_id, content_index, pcm)

    def learn(self, message: bytes, delta: AudioDelta) -> None:
        """Learn from a delta that had to be parsed."""
        where = delta.response_id, delta.item_id, delta.content_index
        if where != self._tried:
            self._tried, self._tries_left = where, _TRIES
        self._where = None
        if not (self._is_compact and self._tries_left):
            return
        self._tries_left -= 1
        event = orjson.loads(message)
        try:
            self._is_compact = orjson.dumps(event) == message
        except orjson.JSONEncodeError:  # it reads what is nested deeper than it writes
            self._is_compact = False
        if self._is_compact and (parts := _around(event)):
            self._where = where
            self._head, self._middle, self._tail = parts


def _around(event: dict[str, Any]) -> list[bytes] | None:
    """Return what stands before an event's id, between it and the audio, and after.

    None if they do not come in that order.
    """
    names = list(event)
    if "event_id" not in event or names.index("event_id") > names.index("delta"):
        return None
    text = orjson.dumps({**event, "event_id": _MARK, "delta": _MARK})
    parts = text.split(_WRITTEN_MARK)
    return parts if len(parts) == 3 else None  # around two marks
