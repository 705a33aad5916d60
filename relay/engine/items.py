"""Conversation items: their wire form, their audio, and what a reply reads in them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from relay.engine.ports import SAMPLE_BYTES, Called, Image, Returned, Said, Turn
from relay.engine.schema import Json
from relay.engine.spoken import Spoken, heard

OUTPUT_AUDIO = "output_audio"


@dataclass(slots=True, eq=False)
class Item:
    """One item; `body` is its wire form, the rest is ours."""

    body: Json
    heard: str = ""
    """Text of the caller's audio, kept whether or not the client asked for it."""
    audio_samples: int = 0
    """Length of the assistant's audio, whether or not it is still kept."""
    spoken: list[Spoken] = field(default_factory=list)
    audio: dict[int, bytearray] = field(default_factory=dict)
    """By content index: s16le, mono 24 kHz."""
    is_cut: bool = False
    """Truncated: nothing is added any more."""
    is_forgotten: bool = False
    """Its audio was dropped, and is not kept again."""

    @property
    def id(self) -> str:
        """The item's id."""
        return str(self.body["id"])

    @property
    def audio_bytes(self) -> int:
        """Size of the audio kept."""
        return sum(map(len, self.audio.values()))

    def record(self, pcm: bytes | bytearray) -> None:
        """Keep more audio of the first part (s16le)."""
        if pcm and not self.is_forgotten:
            self.audio.setdefault(0, bytearray()).extend(pcm)

    def forget_audio(self) -> None:
        """Keep the audio no longer."""
        self.audio.clear()
        self.is_forgotten = True

    def cut(self, part: Json, end_samples: int) -> None:
        """Forget the audio and the words of a part of the assistant after a sample."""
        self.is_cut = True
        self.audio_samples = min(self.audio_samples, end_samples)
        self.spoken = heard(self.spoken, self.audio_samples)
        part["transcript"] = "".join(piece.text for piece in self.spoken)
        for pcm in self.audio.values():
            del pcm[self.audio_samples * SAMPLE_BYTES :]

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


def from_client(
    wire: Json, new_id: Callable[[str], str]
) -> tuple[Item, dict[int, str]]:
    """Return an item from `conversation.item.create`, and its audio by content index.

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
    audio: dict[int, str] = {}
    if wire["type"] == "message":
        body["content"] = [
            _without_audio(part, index, audio)
            for index, part in enumerate(wire["content"])
        ]
    return Item(body), audio


def _without_audio(part: Json, index: int, found: dict[int, str]) -> Json:
    kept = dict(part)
    audio = kept.pop("audio", None)
    if part["type"] in {"input_audio", OUTPUT_AUDIO}:
        kept.setdefault("transcript", None)
        if audio:
            found[index] = audio
    return kept


def turns_of(items: Iterable[Item]) -> tuple[Turn, ...]:
    """Return what a reply reads in items."""
    turns = (_turn_of(item) for item in items)
    return tuple(turn for turn in turns if turn is not None)


def _turn_of(item: Item) -> Turn | None:
    body = item.body
    match body["type"]:
        case "message":
            return _said(item)
        case "function_call":
            return Called(body["call_id"], body["name"], body["arguments"])
        case "function_call_output":
            return Returned(body["call_id"], body["output"])
        case _:  # mcp_list_tools
            return None


def _said(item: Item) -> Said:
    content = item.body["content"]
    texts = [part.get("text") or part.get("transcript") or "" for part in content]
    images = tuple(
        Image(part["image_url"], part.get("detail") or "auto")
        for part in content
        if part["type"] == "input_image"
    )
    text = " ".join(text for text in texts if text) or item.heard
    return Said(item.body["role"], text, images)
