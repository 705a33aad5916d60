"""The rules for logs: they let true logs pass, and catch what can be wrong."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from pydantic import ValidationError

from tests.engine.talk import Event, Talk
from tests.support.event_rules import check, strict_parse, strict_parse_client

Log = list[Event]


def conversation() -> Log:
    """Return a log with a spoken turn, an answer and a function call."""
    talk = Talk(audio={"input": {"transcription": {"model": "whisper-1"}}})
    talk.turn("Hello.")
    talk.say("Good day. ")
    talk.core.replies.call(talk.respond_command().response_id, "f", "{}")
    talk.complete()
    return talk.log


def over_webrtc() -> Log:
    """Return the same as a client of WebRTC sees it."""
    log = [e for e in conversation() if e["type"] != "response.output_audio.delta"]
    added = place(log, "response.content_part.added")
    log.insert(added + 1, buffer("started", log[added]["response_id"]))
    log.append(buffer("stopped", log[added]["response_id"]))
    return log


def buffer(verb: str, response_id: str) -> Event:
    """Return an event of playback."""
    kind = f"output_audio_buffer.{verb}"
    return {"type": kind, "event_id": f"event_{verb}", "response_id": response_id}


def place(log: Log, kind: str, nth: int = 0) -> int:
    """Return where the nth event of a type is."""
    return [index for index, event in enumerate(log) if event["type"] == kind][nth]


def without(kind: str, nth: int = 0) -> Callable[[Log], None]:
    """Return what takes an event out."""

    def take(log: Log) -> None:
        del log[place(log, kind, nth)]

    return take


def swapped(first: str, second: str) -> Callable[[Log], None]:
    """Return what puts the first of one type where the first of another is."""

    def swap(log: Log) -> None:
        one, other = place(log, first), place(log, second)
        log[one], log[other] = log[other], log[one]

    return swap


def twice(kind: str) -> Callable[[Log], None]:
    """Return what says an event again, with an id of its own."""

    def repeat(log: Log) -> None:
        index = place(log, kind)
        log.insert(index + 1, {**log[index], "event_id": "event_again"})

    return repeat


def changed(kind: str, **fields: Any) -> Callable[[Log], None]:
    """Return what changes fields of an event."""
    return lambda log: log[place(log, kind)].update(fields)


@pytest.mark.parametrize("log", [conversation(), over_webrtc()])
def test_a_true_log_passes(log: Log) -> None:
    for event in log:
        strict_parse(event)
    check(log, is_over=True)


@pytest.mark.parametrize(
    "breaks",
    [
        without("session.created"),
        twice("session.created"),
        changed("session.updated", session={"type": "realtime", "id": "other"}),
        changed("session.created", session={"type": "transcription"}),
        # items
        without("conversation.item.added"),
        without("input_audio_buffer.committed"),
        swapped("input_audio_buffer.committed", "conversation.item.added"),
        swapped("conversation.item.added", "conversation.item.done"),
        twice("conversation.item.added"),
        twice("conversation.item.done"),
        changed("conversation.item.added", previous_item_id="item_unknown"),
        changed("conversation.item.done", previous_item_id="item_unknown"),
        changed("input_audio_buffer.committed", previous_item_id="item_unknown"),
        # turns
        twice("input_audio_buffer.speech_started"),
        twice("input_audio_buffer.speech_stopped"),
        without("input_audio_buffer.speech_started"),
        changed("input_audio_buffer.speech_stopped", audio_end_ms=-1),
        twice("conversation.item.input_audio_transcription.completed"),
        changed(
            "conversation.item.input_audio_transcription.completed", item_id="item_none"
        ),
        # responses
        without("response.created"),
        twice("response.created"),
        twice("response.done"),
        without("response.done"),
        without("response.output_item.added"),
        without("response.output_item.done"),
        without("response.output_item.done", 1),
        without("response.content_part.added"),
        without("response.content_part.done"),
        without("response.output_audio.done"),
        without("response.output_audio_transcript.delta"),
        without("response.output_audio_transcript.done"),
        without("response.function_call_arguments.done"),
        twice("response.output_audio_transcript.done"),
        swapped("response.output_item.added", "response.content_part.added"),
        swapped("response.content_part.done", "response.output_audio.done"),
        swapped("response.output_item.done", "response.content_part.done"),
        swapped("response.output_item.done", "response.done"),
        changed("response.output_audio.delta", response_id="resp_unknown"),
        changed("response.output_audio.delta", item_id="item_unknown"),
        changed("response.output_audio.delta", output_index=1),
        changed("response.output_audio.delta", content_index=1),
        changed("response.output_item.added", output_index=1),
        changed("response.content_part.added", part={"audio": "AAAA"}),
    ],
)
def test_a_false_log_is_caught(breaks: Callable[[Log], None]) -> None:
    log = deepcopy(conversation())
    breaks(log)
    with pytest.raises(AssertionError):
        check(log, is_over=True)


@pytest.mark.parametrize(
    "breaks",
    [
        without("output_audio_buffer.started"),
        without("output_audio_buffer.stopped"),
        twice("output_audio_buffer.started"),
        twice("output_audio_buffer.stopped"),
        changed("output_audio_buffer.started", response_id="resp_unknown"),
        changed("output_audio_buffer.stopped", response_id="resp_unknown"),
        swapped("output_audio_buffer.started", "response.content_part.added"),
        swapped("output_audio_buffer.stopped", "response.done"),
    ],
)
def test_playback_that_cannot_be_is_caught(breaks: Callable[[Log], None]) -> None:
    log = deepcopy(over_webrtc())
    breaks(log)
    with pytest.raises(AssertionError):
        check(log, is_over=True)


def test_what_is_cleared_need_not_be_done() -> None:
    log = over_webrtc()
    response_id = log.pop()["response_id"]
    log.insert(place(log, "response.done"), buffer("cleared", response_id))
    check(log, is_over=True)


def test_two_responses_cannot_write_to_the_conversation_at_once() -> None:
    log = conversation()
    other = deepcopy(log[place(log, "response.created")])
    other["event_id"], other["response"]["id"] = "event_other", "resp_other"
    log.insert(place(log, "response.done"), other)
    with pytest.raises(AssertionError, match="one response at a time"):
        check(log)


def test_an_event_id_is_used_once() -> None:
    log = conversation()
    log[1]["event_id"] = log[0]["event_id"]
    with pytest.raises(AssertionError, match="the event id was used"):
        check(log)


@pytest.mark.parametrize("verb", ["deleted", "truncated"])
def test_an_item_that_is_not_there_cannot_be_changed(verb: str) -> None:
    event = {"type": f"conversation.item.{verb}", "event_id": "e", "item_id": "none"}
    with pytest.raises(AssertionError, match="there"):
        check([*conversation(), event])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("invented", 1),
        ("session.invented", 1),
        ("session.audio.invented", 1),
        ("session.audio.input.turn_detection.invented", 1),
    ],
)
def test_a_field_that_the_types_do_not_know_is_caught(path: str, value: int) -> None:
    event: Any = deepcopy(conversation()[0])
    *parents, key = path.split(".")
    inner = event
    for parent in parents:
        inner = inner[parent]
    inner[key] = value
    with pytest.raises(AssertionError, match="invented"):
        strict_parse(event)


def test_an_unknown_field_inside_a_list_is_caught() -> None:
    event = deepcopy(conversation()[-1])
    event = {**event, "rate_limits": [{"name": "tokens", "invented": 1}]}
    with pytest.raises(AssertionError, match="invented"):
        strict_parse(event)


def test_a_missing_field_is_caught() -> None:
    with pytest.raises(ValidationError):
        strict_parse({"type": "input_audio_buffer.committed", "event_id": "e"})


def test_client_events_are_parsed_likewise() -> None:
    strict_parse_client({"type": "response.create", "response": {"metadata": {}}})
    with pytest.raises(AssertionError, match="invented"):
        strict_parse_client({"type": "response.create", "invented": 1})
    with pytest.raises(AssertionError):
        strict_parse_client({"type": "response.invented"})
