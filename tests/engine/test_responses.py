"""Responses: what they write, how they end, and what `response.create` may ask."""

import base64
from typing import Any

import numpy as np
import orjson
import pytest

from relay.engine.errors import StageError
from relay.engine.outbox import Abort
from relay.engine.ports import Called, Returned, Said
from tests.engine.talk import Talk, error_of, kinds, only

TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "Weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def write(talk: Talk, text: str) -> str:
    """Type a message as the user; return its id."""
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    item_id: str = talk.send("conversation.item.create", item=item)[0]["item"]["id"]
    return item_id


def typed(text: str = "Hello.", **response: Any) -> Talk:
    """Return a talk in which a typed message is being answered."""
    talk = Talk()
    write(talk, text)
    talk.send("response.create", response=response)
    return talk


def test_a_typed_message_is_answered_on_request() -> None:
    talk = typed("Hello.")
    assert talk.respond_command().request.turns == (Said("user", "Hello."),)
    done = only(talk.answer("Hi."), "response.done")["response"]
    assert done["status"] == "completed"
    assert done["output"][0]["content"] == [
        {"type": "output_audio", "transcript": "Hi."}
    ]


def test_a_text_response_has_text_events_and_no_audio() -> None:
    talk = typed(output_modalities=["text"])
    assert not talk.respond_command().speaks
    events = talk.say("Hello ") + talk.say("there.") + talk.complete()
    assert kinds(events) == [
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    assert only(events, "response.output_text.done")["text"] == "Hello there."
    assert only(events, "response.content_part.done")["part"] == {
        "type": "text",
        "text": "Hello there.",
    }


def test_audio_comes_whole_in_deltas_of_a_fifth_of_a_second() -> None:
    talk = typed()
    events = talk.say("Hi.", duration_ms=500)
    deltas = [
        base64.b64decode(event["delta"])
        for event in events
        if event["type"] == "response.output_audio.delta"
    ]
    assert [len(delta) for delta in deltas] == [9600, 9600, 4800]


@pytest.mark.parametrize("format_type", ["audio/pcmu", "audio/pcma"])
def test_g711_audio_is_a_byte_for_each_sample_at_8_khz(format_type: str) -> None:
    talk = Talk(audio={"output": {"format": {"type": format_type}}})
    write(talk, "Hello.")
    talk.send("response.create")
    events = talk.say("Hi.", duration_ms=1000)
    audio = b"".join(
        base64.b64decode(event["delta"])
        for event in events
        if event["type"] == "response.output_audio.delta"
    )
    assert len(audio) == pytest.approx(8000, abs=100)


def test_a_pause_is_silent_audio_without_words() -> None:
    talk = typed()
    talk.say("One. ")
    talk.core.replies.hold(talk.respond_command().response_id, 300, talk.now)
    events = talk.drain()
    assert kinds(events) == ["response.output_audio.delta"]
    assert not np.frombuffer(base64.b64decode(events[0]["delta"]), np.int16).any()


def test_usage_counts_what_was_read_and_written() -> None:
    talk = typed("12345678")
    done = only(talk.answer("abcd", duration_ms=1000), "response.done")
    usage = done["response"]["usage"]
    assert usage["input_token_details"]["text_tokens"] == 2
    assert usage["output_token_details"] == {"text_tokens": 1, "audio_tokens": 20}
    assert usage["total_tokens"] == 23


def test_the_reply_sees_the_conversation_and_the_rules_of_the_session() -> None:
    talk = Talk(instructions="Be brief.", tools=[TOOL], tool_choice="required")
    write(talk, "One.")
    talk.send("response.create")
    talk.answer("Two.")
    write(talk, "Three.")
    talk.send("response.create", response={"max_output_tokens": 50})
    request = talk.respond_command().request
    assert request.turns == (
        Said("user", "One."),
        Said("assistant", "Two."),
        Said("user", "Three."),
    )
    assert request.instructions == "Be brief."
    assert not request.is_directed
    assert [tool["name"] for tool in request.tools] == ["get_weather"]
    assert request.tool_choice == "required"
    assert request.max_output_tokens == 50


def test_overrides_hold_for_one_response_only() -> None:
    talk = Talk(instructions="Be brief.")
    talk.send("response.create", response={"instructions": "Be long."})
    assert talk.respond_command().request.instructions == "Be long."
    assert talk.respond_command().request.is_directed
    talk.complete()
    talk.send("response.create")
    assert talk.respond_command().request.instructions == "Be brief."


def test_a_response_tells_its_metadata_again() -> None:
    events = Talk().send("response.create", response={"metadata": {"topic": "a"}})
    assert events[0]["response"]["metadata"] == {"topic": "a"}


# One at a time, and beside the conversation


def test_a_second_response_is_refused_while_one_is_active() -> None:
    talk = typed()
    error = error_of(talk.send("response.create", event_id="again"))
    assert error["code"] == "conversation_already_has_active_response"
    assert error["event_id"] == "again"
    assert talk.respond_command().response_id in error["message"]


def test_a_response_beside_the_conversation_leaves_no_item_in_it() -> None:
    talk = typed("Hello.", conversation="none")
    events = talk.answer("Aside.")
    assert not any(kind.startswith("conversation.") for kind in kinds(events))
    done = only(events, "response.done")["response"]
    assert done["conversation_id"] is None
    talk.send("response.create")
    assert talk.respond_command().request.turns == (Said("user", "Hello."),)


def test_responses_beside_the_conversation_run_with_the_main_one_up_to_a_bound() -> (
    None
):
    talk = typed()
    for _ in range(4):
        events = talk.send("response.create", response={"conversation": "none"})
        assert kinds(events) == ["response.created"]
    error = error_of(talk.send("response.create", response={"conversation": "none"}))
    assert error["code"] == "rate_limit_exceeded"


def test_a_response_may_bring_its_own_input() -> None:
    talk = Talk()
    known = write(talk, "Known.")
    write(talk, "Not asked.")
    content = [{"type": "input_text", "text": "New."}]
    given = [
        {"type": "item_reference", "id": known},
        {"type": "message", "role": "user", "content": content},
    ]
    talk.send("response.create", response={"conversation": "none", "input": given})
    turns = talk.respond_command().request.turns
    assert turns == (Said("user", "Known."), Said("user", "New."))


def test_an_unknown_item_in_the_input_is_an_error_and_no_response() -> None:
    given = [{"type": "item_reference", "id": "item_none"}]
    error = error_of(Talk().send("response.create", response={"input": given}))
    assert error["code"] == "item_retrieve_invalid_item_id"


# How they end


def test_a_cancelled_response_says_so_and_stops_its_reply() -> None:
    talk = typed()
    talk.say("Hello. ")
    done = only(talk.send("response.cancel"), "response.done")["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert talk.commands[-1] == Abort(done["id"])
    assert talk.complete() == []


def test_a_response_is_cancelled_by_its_id() -> None:
    talk = typed("Hello.", conversation="none")
    response_id = talk.respond_command().response_id
    done = only(talk.send("response.cancel", response_id=response_id), "response.done")
    assert done["response"]["output"] == []


@pytest.mark.parametrize("fields", [{}, {"response_id": "resp_none"}])
def test_cancelling_nothing_is_an_error(fields: dict[str, str]) -> None:
    error = error_of(Talk().send("response.cancel", event_id="c", **fields))
    assert error["code"] == "response_cancel_not_active"
    assert error["message"].startswith("Cancellation failed")
    assert error["event_id"] == "c"


def test_a_failed_reply_ends_its_response_not_the_session() -> None:
    talk = typed()
    talk.say("Hello. ")
    error = StageError("chat_endpoint_error", "The chat endpoint answered 500.")
    response_id = talk.respond_command().response_id
    talk.core.replies.fail(response_id, error, talk.now)
    done = only(talk.drain(), "response.done")["response"]
    assert done["status"] == "failed"
    assert done["status_details"] == {"type": "failed", "error": error.body()}
    assert kinds(talk.send("response.create")) == ["response.created"]


def test_a_response_that_reaches_its_token_limit_is_incomplete() -> None:
    talk = typed(max_output_tokens=2)
    events = talk.say("Twelve chars") + talk.say("more") + talk.complete()
    done = only(events, "response.done")["response"]
    assert done["status"] == "incomplete"
    assert done["status_details"]["reason"] == "max_output_tokens"
    assert done["output"][0]["content"][0]["transcript"] == "Twelve chars"


def test_a_response_with_nothing_to_say_is_completed() -> None:
    done = only(typed().complete(), "response.done")["response"]
    assert (done["status"], done["output"]) == ("completed", [])


# Function calls


def called(talk: Talk, arguments: str = '{"city":"Paris"}') -> list[dict[str, Any]]:
    """Let the newest reply call a function."""
    response_id = talk.respond_command().response_id
    talk.core.replies.call(response_id, "get_weather", arguments)
    return talk.drain() + talk.complete()


def test_a_function_call_has_its_events_in_order() -> None:
    events = called(typed("Weather?"))
    assert kinds(events) == [
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    done = only(events, "response.output_item.done")
    assert done["item"]["status"] == "completed"
    assert done["item"]["name"] == "get_weather"
    assert orjson.loads(done["item"]["arguments"]) == {"city": "Paris"}
    arguments = only(events, "response.function_call_arguments.done")
    assert arguments["call_id"] == done["item"]["call_id"]
    assert arguments["name"] == "get_weather"


def test_words_before_a_call_are_an_item_of_their_own() -> None:
    talk = typed("Weather?")
    talk.say("Let me see. ")
    done = only(called(talk), "response.done")["response"]
    assert [item["type"] for item in done["output"]] == ["message", "function_call"]


def test_the_output_of_a_call_is_part_of_what_the_next_reply_sees() -> None:
    talk = typed("Weather?")
    item = only(called(talk), "response.output_item.done")["item"]
    output = {
        "type": "function_call_output",
        "call_id": item["call_id"],
        "output": "21",
    }
    talk.send("conversation.item.create", item=output)
    talk.send("response.create")
    turns = talk.respond_command().request.turns
    assert turns[1:] == (
        Called(item["call_id"], "get_weather", '{"city":"Paris"}'),
        Returned(item["call_id"], "21"),
    )
