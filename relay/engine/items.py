"""Conversation items: their wire form, and what a reply reads in them.

The audio of an item is never kept: `conversation.item.retrieve` returns texts.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from relay.engine.ports import Called, Returned, Said, Turn
from relay.engine.schema import Json

OUTPUT_AUDIO = "output_audio"


class Spoken(NamedTuple):
    """A sentence in an item's audio; it begins at this sample of the item."""

    start_samples: int
    text: str


@dataclass(slots=True, eq=False)
class Item:
    """One item; `body` is its wire form, the rest is ours."""

    body: Json
    heard: str = ""
    """Text of the caller's audio, kept whether or not the client asked for it."""
    audio_samples: int = 0
    spoken: list[Spoken] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The item's id."""
        return str(self.body["id"])

    def wire(self) -> Json:
        """Return a copy for an event; later changes do not reach it."""
        copy = dict(self.body)
        if "content" in copy:
            copy["content"] = [dict(part) for part in copy["content"]]
        return copy


def message(item_id: str, role: str, content: list[Json], status: str) -> Item:
    """Return a new message item."""
    return Item(
        {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": status,
            "role": role,
            "content": content,
        }
    )


def function_call(item_id: str, call_id: str, name: str, arguments: str) -> Item:
    """Return a function call that is still being written."""
    return Item(
        {
            "id": item_id,
            "object": "realtime.item",
            "type": "function_call",
            "status": "in_progress",
            "name": name,
            "call_id": call_id,
            "arguments": arguments,
        }
    )


def from_client(wire: Json, new_id: Callable[[str], str]) -> tuple[Item, list[str]]:
    """Return an item from `conversation.item.create`, and its audio (base64) to hear.

    Args:
        wire: A checked item.
        new_id: Makes an id from a prefix.
    """
    body = {
        **wire,
        "id": wire.get("id") or new_id("item"),
        "object": "realtime.item",
        "status": "completed",
    }
    if wire["type"] == "function_call":
        body["call_id"] = wire.get("call_id") or new_id("call")
    unheard: list[str] = []
    if wire["type"] == "message":
        body["content"] = [_without_audio(part, unheard) for part in wire["content"]]
    return Item(body), unheard if wire.get("role") == "user" else []


def _without_audio(part: Json, unheard: list[str]) -> Json:
    kept = dict(part)
    audio = kept.pop("audio", None)
    if part["type"] in {"input_audio", OUTPUT_AUDIO}:
        kept.setdefault("transcript", None)
        if audio and not kept["transcript"]:
            unheard.append(audio)
    return kept


def turn_of(item: Item) -> Turn:
    """Return what a reply reads in an item."""
    body = item.body
    if body["type"] == "function_call":
        return Called(body["call_id"], body["name"], body["arguments"])
    if body["type"] == "function_call_output":
        return Returned(body["call_id"], body["output"])
    texts = [
        part.get("text") or part.get("transcript") or "" for part in body["content"]
    ]
    text = " ".join(text for text in texts if text) or item.heard
    return Said(body["role"], text)
