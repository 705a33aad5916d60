"""Server events held against the official types, and against each other."""

from collections.abc import Sequence
from typing import Any, get_args

from openai.types.realtime.realtime_server_event import RealtimeServerEvent
from pydantic import BaseModel

Event = dict[str, Any]

_OFFICIAL: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["type"].annotation)[0]: model
    for model in get_args(get_args(RealtimeServerEvent)[0])
}


def validate(event: Event) -> None:
    """Fail when an event is not what the official package expects."""
    _OFFICIAL[event["type"]].model_validate(event, strict=True)


def check_log(log: Sequence[Event]) -> None:
    """Fail when a log of one session breaks an invariant of the API.

    Event ids are unique; ids are known before they are used; each response begins and
    ends once, and its items and parts inside it; deltas add up.
    """
    event_ids = [event["event_id"] for event in log]
    assert len(set(event_ids)) == len(event_ids)
    items: set[str] = set()
    began: list[str] = []
    ended: list[str] = []
    for event in log:
        kind = event["type"]
        if kind == "response.created":
            began.append(event["response"]["id"])
        elif kind == "response.done":
            ended.append(event["response"]["id"])
        elif "response_id" in event:
            assert event["response_id"] in began, event
            assert event["response_id"] not in ended, event
        if kind in {
            "input_audio_buffer.speech_started",
            "input_audio_buffer.committed",
        }:
            items.add(event["item_id"])
        elif kind in {"conversation.item.added", "response.output_item.added"}:
            items.add(event["item"]["id"])
        elif kind == "input_audio_buffer.timeout_triggered":
            items.add(event["item_id"])
        elif "item_id" in event:
            assert event["item_id"] in items, event
    assert len(set(began)) == len(began)
    assert len(set(ended)) == len(ended)
    assert set(ended) <= set(began)
    for response_id in ended:
        _check_response([e for e in log if e.get("response_id") == response_id])


def _check_response(log: Sequence[Event]) -> None:
    added = [e["item"]["id"] for e in log if e["type"] == "response.output_item.added"]
    done = [e["item"]["id"] for e in log if e["type"] == "response.output_item.done"]
    assert added == done
    opened = [e for e in log if e["type"] == "response.content_part.added"]
    closed = [e for e in log if e["type"] == "response.content_part.done"]
    assert [e["item_id"] for e in opened] == [e["item_id"] for e in closed]
    for kind, whole in (
        ("output_audio_transcript", "transcript"),
        ("output_text", "text"),
        ("function_call_arguments", "arguments"),
    ):
        for event in log:
            if event["type"] == f"response.{kind}.done":
                deltas = "".join(
                    e["delta"]
                    for e in log
                    if e["type"] == f"response.{kind}.delta"
                    and e["item_id"] == event["item_id"]
                )
                assert deltas == event[whole]
