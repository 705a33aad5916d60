"""The items of a conversation in order, and what may be done to them.

Bounded in number and size: when full, the oldest item is dropped, as the API's
truncation "auto" forgets the oldest. Audio has a bound of its own: when full, that of
the oldest items is forgotten, and their words stay.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from relay.engine.audio import milliseconds, samples_of
from relay.engine.errors import ClientError
from relay.engine.items import OUTPUT_AUDIO, Item, turns_of
from relay.engine.ports import Turn

MAX_ITEMS = 1_000
"""Items kept; hours of talk."""

MAX_CONTENT_BYTES = 32 * 1024 * 1024
"""Texts and images kept in one conversation."""

MAX_AUDIO_BYTES = 8 * 1024 * 1024
"""Audio kept for `conversation.item.retrieve`: 174 s. In base64 all of it fits into one
event of the 16 MiB that the relay takes; an item longer than that keeps none."""

ROOT = "root"
"""`previous_item_id` of an item to be put first."""


class Conversation:
    """An ordered, bounded set of items."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._sizes_bytes: dict[str, int] = {}

    @property
    def last_id(self) -> str | None:
        """Id of the newest item."""
        return self._items[-1].id if self._items else None

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def turns(self) -> tuple[Turn, ...]:
        """Return the conversation as a reply reads it."""
        return turns_of(self._items)

    def add(self, item: Item, previous_item_id: str | None = None) -> str | None:
        """Insert an item (at the end by default); return the id of the one before it.

        Raises:
            ClientError: The id is taken, or the previous item is unknown.
        """
        if item.id in self._sizes_bytes:
            raise ClientError(
                "item_create_duplicate_item_id",
                f"Error adding item: an item with id '{item.id}' already exists.",
                "item.id",
            )
        place = self._place_after(previous_item_id)
        self._items.insert(place, item)
        self._sizes_bytes[item.id] = len(orjson.dumps(item.body))
        before = self._items[place - 1].id if place else None
        self._drop_oldest()
        self._forget_oldest_audio()
        return before

    def record(self, item: Item, pcm: bytes | bytearray) -> None:
        """Keep more audio (s16le) of an item that is here."""
        if item.id in self._sizes_bytes:
            item.record(pcm)
            self._forget_oldest_audio()

    def _forget_oldest_audio(self) -> None:
        excess = sum(item.audio_bytes for item in self._items) - MAX_AUDIO_BYTES
        for item in self._items:
            if excess <= 0:
                return
            if item.audio:
                excess -= item.audio_bytes
                item.forget_audio()

    def _place_after(self, previous_item_id: str | None) -> int:
        if previous_item_id is None:
            return len(self._items)
        if previous_item_id == ROOT:
            return 0
        return self._index(previous_item_id, "create", "previous_item_id") + 1

    def _drop_oldest(self) -> None:
        while len(self._items) > 1 and (
            len(self._items) > MAX_ITEMS
            or sum(self._sizes_bytes.values()) > MAX_CONTENT_BYTES
        ):
            del self._sizes_bytes[self._items.pop(0).id]

    def _index(self, item_id: str, verb: str, param: str = "item_id") -> int:
        for index, item in enumerate(self._items):
            if item.id == item_id:
                return index
        raise ClientError(
            f"item_{verb}_invalid_item_id",
            f"Error: the item with id '{item_id}' does not exist.",
            param,
        )

    def before(self, item_id: str) -> str | None:
        """Return the id of the item before one, None when first or gone."""
        previous = None
        for item in self._items:
            if item.id == item_id:
                return previous
            previous = item.id
        return None

    def get(self, item_id: str, verb: str = "retrieve") -> Item:
        """Return an item; `verb` names the error.

        Raises:
            ClientError: There is no such item.
        """
        return self._items[self._index(item_id, verb)]

    def delete(self, item_id: str) -> None:
        """Remove an item.

        Raises:
            ClientError: There is no such item.
        """
        self._items.pop(self._index(item_id, "delete"))
        del self._sizes_bytes[item_id]

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Forget the audio after a point, and the words that lie there.

        OpenAI deletes the whole transcript; keeping the words that were heard serves
        the same end, and the next reply knows how far the last one came.

        Raises:
            ClientError: No such item or part, not the assistant's audio, or too short.
        """
        item = self.get(item_id, "truncate")
        part = _audio_part(item, content_index)
        length_ms = milliseconds(item.audio_samples)
        if audio_end_ms > length_ms:
            raise ClientError(
                "invalid_value",
                f"Audio content of {length_ms}ms is already shorter than "
                f"{audio_end_ms}ms",
                "audio_end_ms",
            )
        item.cut(part, samples_of(audio_end_ms))


def _audio_part(item: Item, content_index: int) -> dict[str, Any]:
    if item.body.get("role") != "assistant":
        raise ClientError(
            "invalid_value",
            "Only model output audio messages can be truncated",
            "item_id",
        )
    content = item.body["content"]
    if content_index >= len(content) or content[content_index]["type"] != OUTPUT_AUDIO:
        raise ClientError(
            "invalid_value", "There is no audio at that content index.", "content_index"
        )
    part: dict[str, Any] = content[content_index]
    return part
