"""The reduction of events to a transcript, run where it runs: in a browser."""

from typing import Any

import pytest

from tests.browser import events
from tests.browser.events import Event
from tests.browser.playground import Playground

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

REDUCE = """async events => {
    const { NO_TURNS, reduce, closed, text } = await import("/page/turns.js");
    const after = events.reduce(
        (turns, event) => event === "closed" ? closed(turns) : reduce(turns, event),
        NO_TURNS);
    return after.entries.map(entry => ({ ...entry, text: text(entry) }));
}"""


async def reduce(
    playground: Playground, *happened: Event | str
) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = await playground.page.evaluate(REDUCE, happened)
    return entries


def shown(entries: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(entry["speaker"], entry["status"], entry["text"]) for entry in entries]


async def test_a_turn_and_its_answer_stand_in_order(playground: Playground) -> None:
    entries = await reduce(
        playground,
        *events.said("u1", "Hello."),
        *events.response_began("r1", "a1"),
        events.replying("a1", "Hi"),
        events.replying("a1", " there."),
        events.replied("a1", "Hi there."),
        events.response_done("r1"),
        events.played("r1"),
    )
    assert shown(entries) == [
        ("user", "done", "Hello."),
        ("agent", "done", "Hi there."),
    ]


async def test_a_transcript_that_comes_after_the_answer_stays_in_its_place(
    playground: Playground,
) -> None:
    entries = await reduce(
        playground,
        events.speech_started("u1"),
        events.committed("u1"),
        *events.response_began("r1", "a1"),
        events.replied("a1", "Hi."),
        events.transcribed("u1", "Hello."),
    )
    assert [entry["text"] for entry in entries] == ["Hello.", "Hi."]


async def test_an_item_moves_behind_the_one_that_it_follows(
    playground: Playground,
) -> None:
    entries = await reduce(
        playground,
        *events.said("u1", "One."),
        events.speech_started("u2"),
        *events.response_began("r1", "a1"),
        events.committed("u2", "a1"),
    )
    assert [entry["id"] for entry in entries] == ["u1", "a1", "u2"]


async def test_words_of_the_caller_show_while_they_come(playground: Playground) -> None:
    entries = await reduce(
        playground,
        events.speech_started("u1"),
        events.transcribing("u1", "What"),
        events.transcribing("u1", " time"),
    )
    assert shown(entries) == [("user", "open", "What time")]


async def test_a_truncated_reply_is_cut_off_where_it_was_heard(
    playground: Playground,
) -> None:
    [entry] = await reduce(
        playground,
        *events.response_began("r1", "a1"),
        events.replying("a1", "One, two"),
        events.truncated("a1", 900),
        events.replying("a1", ", three"),
        events.replied("a1", "One, two, three"),
        events.cleared("r1"),
        events.response_done("r1", "cancelled"),
    )
    assert shown([entry]) == [("agent", "cut", "One, two")]
    assert entry["heard_ms"] == 900


async def test_a_reply_cleared_while_it_plays_is_cut_off(
    playground: Playground,
) -> None:
    entries = await reduce(
        playground,
        *events.response_began("r1", "a1"),
        events.replied("a1", "All generated."),
        events.response_done("r1"),
        events.cleared("r1"),
    )
    assert shown(entries) == [("agent", "cut", "All generated.")]


async def test_a_reply_cleared_after_it_was_heard_stays_whole(
    playground: Playground,
) -> None:
    entries = await reduce(
        playground,
        *events.response_began("r1", "a1"),
        events.replied("a1", "All heard."),
        events.response_done("r1"),
        events.played("r1"),
        events.cleared("r1"),
    )
    assert shown(entries) == [("agent", "done", "All heard.")]


async def test_a_reply_that_nobody_heard_disappears(playground: Playground) -> None:
    entries = await reduce(
        playground,
        *events.response_began("r1", "a1"),
        {"type": "conversation.item.deleted", "item_id": "a1"},
    )
    assert entries == []


async def test_a_failed_response_says_why(playground: Playground) -> None:
    [entry] = await reduce(
        playground,
        {"type": "response.created", "response": {"id": "r1"}},
        events.response_done("r1", "failed", "No model."),
    )
    assert (entry["status"], entry["problem"]) == ("failed", "No model.")


async def test_a_typed_message_shows_its_text(playground: Playground) -> None:
    content = [{"type": "input_text", "text": "Hello."}]
    item = {"id": "u1", "type": "message", "role": "user", "content": content}
    added = {"type": "conversation.item.added", "item": item, "previous_item_id": None}
    entries = await reduce(playground, added)
    assert shown(entries) == [("user", "done", "Hello.")]


async def test_items_that_are_no_messages_are_not_shown(playground: Playground) -> None:
    item = {"id": "f1", "type": "function_call", "name": "weather", "arguments": "{}"}
    added = {"type": "conversation.item.added", "item": item, "previous_item_id": None}
    assert await reduce(playground, added, {"type": "something.new"}) == []


async def test_the_end_of_the_call_leaves_nothing_open(playground: Playground) -> None:
    entries = await reduce(
        playground,
        events.speech_started("u1"),
        *events.response_began("r1", "a1"),
        events.replying("a1", "Well"),
        "closed",
    )
    assert [entry["status"] for entry in entries] == ["done", "cut"]
