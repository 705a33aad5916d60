"""One response being written: its events in the order of the API, and its items.

    response.created
      output_item.added, conversation.item.added, content_part.added
        output_audio_transcript.delta, output_audio.delta ...   (or output_text.delta)
      output_audio.done, output_audio_transcript.done, content_part.done,
      conversation.item.done, output_item.done                  (per item)
    response.done, rate_limits.updated

Every part and item that was begun is done before `response.done`, however it ends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from relay.engine import items, usage
from relay.engine.audio import Encoder, samples_of
from relay.engine.conversation import Conversation
from relay.engine.items import Item
from relay.engine.ports import Samples
from relay.engine.schema import Json
from relay.engine.spoken import spoken

DELTA_SAMPLES = samples_of(200)
"""Audio in one delta; short enough to start playing, long enough to be cheap."""


class Emit(Protocol):
    """Sends one server event; the event id is added."""

    def __call__(self, kind: str, /, **fields: Any) -> None:
        """Send an event of a type, with its fields."""


@dataclass(frozen=True, slots=True)
class Options:
    """The session's rules for a response after the overrides of `response.create`."""

    speaks: bool
    format: Json
    voice: Any
    speed: float
    instructions: str
    tools: tuple[Json, ...]
    tool_choice: Any
    max_output_tokens: int | str
    metadata: Json | None = None
    is_directed: bool = False
    is_idle: bool = False


class Response:
    """A response from `response.created` to `response.done`."""

    def __init__(
        self,
        options: Options,
        conversation: Conversation | None,
        conversation_id: str,
        emit: Emit,
        new_id: Callable[[str], str],
    ) -> None:
        self.id = new_id("resp")
        self.options = options
        self.input_tokens = 0
        self._conversation = conversation
        self._conversation_id = conversation_id if conversation is not None else None
        self._emit = emit
        self._new_id = new_id
        self._encoder = Encoder(options.format["type"])
        self._status = "in_progress"
        self._details: Json | None = None
        self._output: list[Item] = []
        self._open: Item | None = None
        self._said = ""
        self._text_tokens = 0
        self._audio_samples = 0
        emit("response.created", response=self.wire())

    @property
    def is_full(self) -> bool:
        """The limit of output tokens is reached."""
        limit = self.options.max_output_tokens
        return isinstance(limit, int) and self._text_tokens >= limit

    def wire(self) -> Json:
        """Return the response object."""
        is_over = self._status != "in_progress"
        spent = usage.of_response(
            self.input_tokens, self._text_tokens, self._audio_samples
        )
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": self._status,
            "status_details": self._details,
            "output": [item.wire() for item in self._output],
            "conversation_id": self._conversation_id,
            "output_modalities": ["audio" if self.options.speaks else "text"],
            "max_output_tokens": self.options.max_output_tokens,
            "audio": {
                "output": {"format": self.options.format, "voice": self.options.voice}
            },
            "usage": spent if is_over else None,
            "metadata": self.options.metadata,
        }

    # Writing ----------------------------------------------------------------------

    def say(self, text: str, pcm: Samples | None) -> None:
        """Add text, spoken as `pcm` when the response speaks."""
        item = self._message()
        self._text_tokens += usage.text_tokens(text)
        self._said += text
        if not item.is_cut:
            key = "text" if pcm is None else "transcript"
            item.body["content"][0][key] = self._said
            item.spoken.append(spoken(text, pcm, item.audio_samples))
        kind = "output_text" if pcm is None else "output_audio_transcript"
        self._part_event(f"response.{kind}.delta", item, delta=text)
        if pcm is not None:
            self._speak(item, pcm)

    def hold(self, pcm: Samples) -> None:
        """Add audio without words: a pause."""
        if self.options.speaks:
            self._speak(self._message(), pcm)

    def call(self, name: str, arguments: str) -> None:
        """Add a complete function call."""
        self._close_open("completed")
        self._text_tokens += usage.text_tokens(name + arguments)
        item = items.function_call(self._new_id("item"), self._new_id("call"), name, "")
        self._begin(item)
        call_id = item.body["call_id"]
        kind = "response.function_call_arguments"
        self._item_event(f"{kind}.delta", item, call_id=call_id, delta=arguments)
        item.body["arguments"] = arguments
        self._item_event(
            f"{kind}.done", item, call_id=call_id, name=name, arguments=arguments
        )
        self._close_open("completed")

    # Ending -----------------------------------------------------------------------

    def complete(self) -> None:
        """End as completed."""
        self._end("completed", None)

    def cut(self) -> None:
        """End as incomplete: the limit of output tokens."""
        self._end("incomplete", {"type": "incomplete", "reason": "max_output_tokens"})

    def cancel(self, reason: str) -> None:
        """End as cancelled; the reason is turn_detected or client_cancelled."""
        self._end("cancelled", {"type": "cancelled", "reason": reason})

    def fail(self, error: Json) -> None:
        """End as failed."""
        self._end("failed", {"type": "failed", "error": error})

    def _end(self, status: str, details: Json | None) -> None:
        self._close_open("completed" if status == "completed" else "incomplete")
        self._status, self._details = status, details
        self._emit("response.done", response=self.wire())
        self._emit("rate_limits.updated", rate_limits=[])  # there are none

    # Items and parts --------------------------------------------------------------

    def _message(self) -> Item:
        if self._open is None:
            item = items.message(self._new_id("item"), "assistant", [], "in_progress")
            self._begin(item)
            speaks = self.options.speaks
            item.body["content"].append(
                {"type": items.OUTPUT_AUDIO, "transcript": ""}
                if speaks
                else {"type": "output_text", "text": ""}
            )
            self._said = ""
            self._part_event("response.content_part.added", item, part=self._part())
            return item
        return self._open

    def _begin(self, item: Item) -> None:
        self._output.append(item)
        self._open = item
        self._output_event("response.output_item.added", item)
        if self._conversation is not None:
            before = self._conversation.add(item)
            self._emit(
                "conversation.item.added", previous_item_id=before, item=item.wire()
            )

    def _close_open(self, status: str) -> None:
        item, self._open = self._open, None
        if item is None:
            return
        if item.body["type"] == "message":
            self._close_part(item)
        item.body["status"] = status
        if self._conversation is not None:
            before = self._conversation.before(item.id)
            self._emit(
                "conversation.item.done", previous_item_id=before, item=item.wire()
            )
        self._output_event("response.output_item.done", item)

    def _close_part(self, item: Item) -> None:
        """End the part with all that was written, also what a truncation has cut."""
        if self.options.speaks:
            self._part_event("response.output_audio.done", item)
            self._part_event(
                "response.output_audio_transcript.done", item, transcript=self._said
            )
        else:
            self._part_event("response.output_text.done", item, text=self._said)
        self._part_event("response.content_part.done", item, part=self._part())

    def _part(self) -> Json:
        if self.options.speaks:
            return {"type": "audio", "transcript": self._said}
        return {"type": "text", "text": self._said}

    def _speak(self, item: Item, pcm: Samples) -> None:
        if not item.is_cut:
            item.audio_samples += len(pcm)
            if self._conversation is not None:
                self._conversation.record(item, pcm.tobytes())
        self._audio_samples += len(pcm)
        for start in range(0, len(pcm), DELTA_SAMPLES):
            delta = self._encoder.encode(pcm[start : start + DELTA_SAMPLES])
            self._part_event("response.output_audio.delta", item, delta=delta)

    def _output_event(self, kind: str, item: Item) -> None:
        self._emit(
            kind,
            response_id=self.id,
            output_index=self._output.index(item),
            item=item.wire(),
        )

    def _item_event(self, kind: str, item: Item, **fields: Any) -> None:
        self._emit(
            kind,
            response_id=self.id,
            item_id=item.id,
            output_index=self._output.index(item),
            **fields,
        )

    def _part_event(self, kind: str, item: Item, **fields: Any) -> None:
        self._item_event(kind, item, content_index=0, **fields)
