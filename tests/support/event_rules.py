"""What must hold for the server events of one Realtime session, whoever recorded them.

`strict_parse` holds one event against the `openai` package's types; `check` holds a
whole log against the order rules of the API. Both serve logs of a WebSocket (audio in
deltas) and of WebRTC (`output_audio_buffer.*` instead). A log begins with the first
event of the session and may stop anywhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from openai.types.realtime import RealtimeSessionCreateResponse
from openai.types.realtime.realtime_client_event import RealtimeClientEvent
from openai.types.realtime.realtime_server_event import RealtimeServerEvent
from openai.types.realtime.realtime_transcription_session_create_response import (
    RealtimeTranscriptionSessionCreateResponse,
)
from pydantic import BaseModel

Event = Mapping[str, Any]


def _by_type(union: Any) -> dict[str, type[BaseModel]]:
    return {
        get_args(model.model_fields["type"].annotation)[0]: model
        for model in get_args(get_args(union)[0])
    }


SERVER_EVENTS = _by_type(RealtimeServerEvent)
CLIENT_EVENTS = _by_type(RealtimeClientEvent)
_SESSIONS: dict[str, type[BaseModel]] = {
    "realtime": RealtimeSessionCreateResponse,
    "transcription": RealtimeTranscriptionSessionCreateResponse,
}
"""What the API answers as a session. The package types the session of an event as a
request, which lacks `id` and `object`; a field is known if either type has it."""


def strict_parse(event: Event) -> BaseModel:
    """Return a server event as the official package types it.

    Raises:
        AssertionError: An unknown type, or a field that the types do not know.
        ValidationError: A field is missing or has the wrong type.
    """
    parsed, unknown = _parse(event, SERVER_EVENTS)
    if event["type"] in {"session.created", "session.updated"}:
        session = event["session"]
        whole = _SESSIONS[session["type"]].model_validate(session, strict=True)
        also = {f"session.{path}" for path in _extras(whole)}
        unknown = {p for p in unknown if p in also or not p.startswith("session.")}
    assert not unknown, (unknown, event)
    return parsed


def strict_parse_client(event: Event) -> BaseModel:
    """Return a client event as the official package types it; raises likewise."""
    parsed, unknown = _parse(event, CLIENT_EVENTS)
    assert not unknown, (unknown, event)
    return parsed


def _parse(
    event: Event, known: Mapping[str, type[BaseModel]]
) -> tuple[BaseModel, set[str]]:
    """Return the typed event, and the paths of fields that its type does not know."""
    assert event.get("type") in known, event
    parsed = known[event["type"]].model_validate(event, strict=True)
    return parsed, set(_extras(parsed))


def _extras(value: Any, path: str = "") -> Iterator[str]:
    """Yield the paths of all fields that the types do not know."""
    match value:
        case BaseModel():
            yield from (f"{path}{key}" for key in value.model_extra or ())
            for key in type(value).model_fields:
                yield from _extras(getattr(value, key), f"{path}{key}.")
        case list():
            for entry in value:
                yield from _extras(entry, path)
        case dict():
            for entry in value.values():
                yield from _extras(entry, path)
        case _:
            return


def check(log: Sequence[Event], *, is_over: bool = False) -> None:
    """Hold a log against the rules.

    Args:
        log: Server events, from `session.created` on.
        is_over: Every response and every playback must have ended.

    Raises:
        AssertionError: With the offending event.
    """
    rules = Rules()
    for event in log:
        rules.see(event)
    if is_over:
        rules.end()


class Rules:
    """The rules, fed event by event."""

    def __init__(self) -> None:
        self._event_ids: set[str] = set()
        self._session: dict[str, Any] | None = None
        items = _Items()
        self._responses = _Responses(items)
        self._playback = _Playback(self._responses)
        self._parts = (items, _Turns(items), self._responses, self._playback)

    def see(self, event: Event) -> None:
        """Take the next event.

        Raises:
            AssertionError: It breaks a rule.
        """
        try:
            self._see_any(event)
            for part in self._parts:
                part.see(event)
        except AssertionError as error:
            raise AssertionError(f"{error.args[0]}: {dict(event)}") from error

    def _see_any(self, event: Event) -> None:
        _hold(event["event_id"] not in self._event_ids, "the event id was used")
        self._event_ids.add(event["event_id"])
        kind = event["type"]
        if kind == "session.created":
            _hold(self._session is None, "a session is created once")
            self._session = event["session"]
        _hold(self._session is not None, "a session begins with session.created")
        assert self._session is not None  # for the type checker
        if kind == "session.updated":
            for name in ("id", "type", "object"):
                same = event["session"].get(name) == self._session.get(name)
                _hold(same, f"the session's {name} changed")
        if self._session["type"] == "transcription":
            _hold(not kind.startswith("response."), "a transcription has no responses")
        if kind != "conversation.item.retrieved":
            _hold(not _has_audio(event), "only a retrieved item carries audio")

    def end(self) -> None:
        """Say that the session is over.

        Raises:
            AssertionError: Something has not ended.
        """
        _hold(not self._responses.active, f"not done: {self._responses.active}")
        _hold(self._playback.playing is None, f"plays on: {self._playback.playing}")


def _hold(condition: bool, rule: str) -> None:
    if not condition:
        raise AssertionError(rule)


def _has_audio(event: Event) -> bool:
    items = [event.get("item"), *(event.get("response") or {}).get("output", ())]
    parts = [part for item in items if item for part in item.get("content", ())]
    return any(part.get("audio") for part in [*parts, event.get("part") or {}])


class _Items:
    """Which items there are, in their order."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.order: list[str] = []
        self._open: set[str] = set()

    def before(self, item_id: str) -> str | None:
        """Return the id of the item before one."""
        place = self.order.index(item_id)
        return self.order[place - 1] if place else None

    def see(self, event: Event) -> None:
        """Follow an event."""
        match event["type"]:
            case "conversation.item.added":
                self._add(event)
            case "conversation.item.done":
                item_id = event["item"]["id"]
                _hold(item_id in self._open, "an item is done once, after added")
                self._open.remove(item_id)
                if item_id in self.order:
                    same = event.get("previous_item_id") == self.before(item_id)
                    _hold(same, f"the item before is {self.before(item_id)}")
            case "conversation.item.deleted":
                _hold(event["item_id"] in self.order, "what is deleted was there")
                self.order.remove(event["item_id"])
            case "conversation.item.truncated":
                _hold(event["item_id"] in self.order, "what is truncated is there")
            case "conversation.item.retrieved":
                _hold(event["item"]["id"] in self.order, "what is retrieved is there")
            case "input_audio_buffer.committed":
                last = self.order[-1] if self.order else None
                same = event.get("previous_item_id") == last
                _hold(same, f"the item before is {last}")
            case _:
                pass

    def _add(self, event: Event) -> None:
        item_id, previous = event["item"]["id"], event.get("previous_item_id")
        _hold(item_id not in self.order, "an item is added once")
        _hold(previous is None or previous in self.order, "the item before is unknown")
        place = 0 if previous is None else self.order.index(previous) + 1
        self.order.insert(place, item_id)
        self.known.add(item_id)
        self._open.add(item_id)


class _Turns:
    """The caller's turns: spoken, committed, added, transcribed."""

    _SOURCES = frozenset(
        {
            "input_audio_buffer.speech_started",
            "input_audio_buffer.committed",
            "input_audio_buffer.timeout_triggered",
        }
    )

    def __init__(self, items: _Items) -> None:
        self._items = items
        self._speaking: str | None = None
        self._began_ms = 0
        self._uncommitted: set[str] = set()
        self._committed: set[str] = set()
        self._transcribed: set[tuple[str, int]] = set()

    def see(self, event: Event) -> None:
        """Follow an event."""
        kind = event["type"]
        if kind in self._SOURCES:
            self._items.known.add(event["item_id"])
        if kind.startswith("input_audio_buffer."):
            self._hear(event)
        elif kind.startswith("conversation.item.input_audio_transcription."):
            self._transcribe(event)
        elif kind == "conversation.item.added":
            item_id = event["item"]["id"]
            _hold(item_id not in self._uncommitted, "a turn is committed, then added")
        elif kind == "session.updated":
            self._speaking = None  # turn detection may have been turned off

    def _hear(self, event: Event) -> None:
        item_id = event.get("item_id", "")
        match event["type"].removeprefix("input_audio_buffer."):
            case "speech_started":
                _hold(self._speaking is None, "a turn begins while one is spoken")
                self._speaking, self._began_ms = item_id, event["audio_start_ms"]
                self._uncommitted.add(item_id)
            case "speech_stopped":
                _hold(self._speaking == item_id, "a turn stops that did not start")
                _hold(event["audio_end_ms"] >= self._began_ms, "it ends, then begins")
                self._speaking = None
            case "committed":
                _hold(item_id not in self._committed, "a turn is committed once")
                _hold(item_id not in self._items.order, "it is committed, then added")
                self._committed.add(item_id)
                self._uncommitted.discard(item_id)
                self._speaking = None
            case "cleared":
                self._speaking = None
            case _:
                pass

    def _transcribe(self, event: Event) -> None:
        _hold(event["item_id"] in self._items.known, "the item is unknown")
        place = (event["item_id"], event.get("content_index", 0))
        _hold(place not in self._transcribed, "its transcription has ended")
        if event["type"].endswith((".completed", ".failed")):
            _hold(place[0] not in self._uncommitted, "it is committed, then complete")
            self._transcribed.add(place)


_WHOLE = {
    "output_text": "text",
    "output_audio": None,
    "output_audio_transcript": "transcript",
    "function_call_arguments": "arguments",
    "mcp_call_arguments": "arguments",
}
"""What is written in deltas, and the field of its `.done` that holds them all."""


class _Written:
    """One item of a response while it is written."""

    def __init__(self, item: Mapping[str, Any], output_index: int) -> None:
        self.item_id: str = item["id"]
        self.output_index = output_index
        self._has_parts = item["type"] == "message"
        self._open_parts: set[int] = set()
        self._part_count = 0
        self._deltas: dict[tuple[str, int], str] = {}
        self._finished: set[tuple[str, int]] = set()

    def see(self, event: Event) -> None:
        """Follow an event about this item."""
        same = event["output_index"] == self.output_index
        _hold(same, f"its output_index is {self.output_index}")
        subject, _, verb = event["type"].removeprefix("response.").partition(".")
        if subject == "content_part":
            self._part(verb, event["content_index"])
        elif subject in _WHOLE:
            self._write(subject, verb, event)

    def _part(self, verb: str, index: int) -> None:
        if verb == "added":
            _hold(index == self._part_count, "parts are numbered from 0")
            self._part_count += 1
            self._open_parts.add(index)
            return
        _hold(index in self._open_parts, "a part is done once, after added")
        self._open_parts.remove(index)
        begun = {key for key in self._deltas if key[1] == index}
        _hold(begun <= self._finished, "what was begun is done before its part")

    def _write(self, subject: str, verb: str, event: Event) -> None:
        index = event.get("content_index", 0)
        key = (subject, index)
        if self._has_parts:
            _hold(index in self._open_parts, "the part is not open")
        _hold(key not in self._finished, f"{subject} is done")
        if verb == "delta":
            self._deltas[key] = self._deltas.get(key, "") + event["delta"]
            return
        self._finished.add(key)
        whole = _WHOLE[subject]
        if whole is not None:
            said = self._deltas.get(key, "")
            _hold(event[whole] == said, f"the deltas say {said!r}")

    def end(self) -> None:
        """Say that the item is done."""
        _hold(not self._open_parts, "parts are done before their item")
        _hold(self._deltas.keys() <= self._finished, "deltas are done before the item")


class _Responses:
    """Responses, from their beginning to the one end that each has."""

    def __init__(self, items: _Items) -> None:
        self._items = items
        self.active: dict[str, Event] = {}
        self.ended: set[str] = set()
        self.with_parts: set[str] = set()
        self._written: dict[str, list[_Written]] = {}
        self._open: dict[str, _Written] = {}

    def see(self, event: Event) -> None:
        """Follow an event."""
        kind = event["type"]
        if kind == "response.created":
            self._create(event["response"])
        elif kind == "response.done":
            self._finish(event["response"])
        elif kind.startswith("response.") and "response_id" in event:
            self._write(event)

    def _create(self, response: Mapping[str, Any]) -> None:
        response_id = response["id"]
        _hold(not self.is_known(response_id), "a response is created once")
        _hold(response["status"] == "in_progress", "a response begins in progress")
        if response["conversation_id"] is not None:
            mains = [r for r in self.active.values() if r["conversation_id"]]
            _hold(not mains, "one response at a time writes to the conversation")
        self.active[response_id] = response
        self._written[response_id] = []

    def is_known(self, response_id: str) -> bool:
        """Whether it was created."""
        return response_id in self.active or response_id in self.ended

    def _finish(self, response: Mapping[str, Any]) -> None:
        response_id = response["id"]
        _hold(response_id in self.active, "a response is done once, after created")
        _hold(response["status"] != "in_progress", "a response ends with its status")
        written = self._written.pop(response_id)
        unfinished = [item.item_id for item in written if item.item_id in self._open]
        _hold(not unfinished, f"its items are not done: {unfinished}")
        ids = [item.item_id for item in written]
        output = [item["id"] for item in response["output"]]
        _hold(output == ids, f"its items are {ids}")
        del self.active[response_id]
        self.ended.add(response_id)

    def _write(self, event: Event) -> None:
        response_id = event["response_id"]
        _hold(response_id in self.active, "the response is not active")
        match event["type"]:
            case "response.output_item.added":
                self._add(response_id, event)
                return
            case "response.output_item.done":
                item_id = event["item"]["id"]
            case _:
                item_id = event["item_id"]
        _hold(item_id in self._open, "the item is not being written")
        item = self._open[item_id]
        _hold(item in self._written[response_id], "the item is of another response")
        item.see(event)
        if event["type"] == "response.content_part.added":
            self.with_parts.add(response_id)
        if event["type"] == "response.output_item.done":
            item.end()
            del self._open[item_id]

    def _add(self, response_id: str, event: Event) -> None:
        written = self._written[response_id]
        item = _Written(event["item"], event["output_index"])
        _hold(item.output_index == len(written), "items are numbered from 0")
        _hold(item.item_id not in self._open, "an item is added once")
        written.append(item)
        self._open[item.item_id] = item
        self._items.known.add(item.item_id)


class _Playback:
    """What WebRTC says about the audio being played."""

    def __init__(self, responses: _Responses) -> None:
        self._responses = responses
        self._played: set[str] = set()
        self.playing: str | None = None

    def see(self, event: Event) -> None:
        """Follow an event."""
        subject, _, verb = event["type"].partition(".")
        if subject != "output_audio_buffer":
            return
        response_id = event["response_id"]
        _hold(self._responses.is_known(response_id), "the response is unknown")
        if verb == "started":
            has_part = response_id in self._responses.with_parts
            _hold(has_part, "a part is added before its audio starts")
            _hold(self.playing is None, f"{self.playing} still plays")
            _hold(response_id not in self._played, "a response starts playing once")
            self.playing = response_id
            self._played.add(response_id)
            return
        _hold(self.playing == response_id, "what ends was playing")
        self.playing = None
        if verb == "stopped":
            is_done = response_id in self._responses.ended
            _hold(is_done, "audio stops after response.done")
