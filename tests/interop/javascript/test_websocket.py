"""@openai/agents-realtime over WebSocket, in a browser: the page moves audio.

Both sessions are held at once, each by a page of its own; tests read what they left.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.browser.recording import WORDS_WRONG, word_error, words
from tests.interop.javascript import client as clients
from tests.interop.javascript.checks import answers, assert_clean
from tests.interop.javascript.client import Client, words_of
from tests.interop.javascript.conftest import Place
from tests.interop.javascript.says import COUNT, NAME, PICTURE

speech = pytest.importorskip("tests.support.speech", exc_type=ImportError)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.interop,
    pytest.mark.speech,
    pytest.mark.asyncio(loop_scope="package"),
]

CORRECTED = "What is one plus one?"


class Sessions(NamedTuple):
    """The sessions that were held."""

    spoken: Client
    typed: Client


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def sessions(place: Place) -> AsyncIterator[Sessions]:
    """Hold both at once."""
    async with place.pages(2) as (spoken, typed):
        for client in (spoken, typed):
            secret = await place.client_secret()
            await client.connect("websocket", place.stack.url, secret)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(speak(spoken))
            tasks.create_task(write(typed))
        yield Sessions(spoken, typed)


async def speak(client: Client) -> None:
    """A turn, its long answer talked over by another turn, and the answer to that."""
    await client.say(speech.speak(COUNT))
    await client.wait_for("response.done", 1)
    await asyncio.sleep(2.0)  # the page plays the answer
    await client.say(speech.speak(NAME))
    await client.wait_for("response.done", 2)
    await client.wait_for("conversation.item.retrieved", 3)
    await client.call("close")


async def write(client: Client) -> None:
    """Two messages at once, a tool, a picture, a correction; then interruptions."""
    await client.call("write", "What is two plus three?")
    await client.call("write", "What is four plus five?")
    await client.wait_for("response.done", 2)
    await client.call("write", "What is the weather in Paris?")
    await client.wait_for("response.done", 4)
    await client.call("show", PICTURE, True)
    await client.wait_for("response.done", 5)
    await client.call("correct", CORRECTED)
    await client.wait_until(
        lambda: words_of(client.history[0]) == CORRECTED, "corrected message"
    )
    await client.call("interruptAt", "audio")
    await client.call("write", COUNT)
    await client.wait_for("response.done", 6)
    await client.wait_for("conversation.item.truncated", 1)
    await client.call("write", COUNT)
    await client.wait_for("response.done", 7)
    await asyncio.sleep(1.0)
    await client.call("interrupt")
    await client.wait_for("conversation.item.retrieved", 2)
    await client.call("close")


async def test_every_session_obeys_the_api(sessions: Sessions) -> None:
    for client in sessions:
        assert_clean(client)


async def test_the_edge_is_free_once_the_clients_have_closed(
    sessions: Sessions, place: Place
) -> None:
    assert await place.is_free()


async def test_a_spoken_turn_is_answered(sessions: Sessions) -> None:
    said, answer = sessions.spoken.history[2:]
    assert (said["role"], answer["role"]) == ("user", "assistant")
    assert word_error(NAME, words_of(said)) <= WORDS_WRONG
    assert "anna" in words(words_of(answer))


async def test_an_answer_is_heard_as_the_history_has_it(sessions: Sessions) -> None:
    last = sessions.spoken.all("response.done")[-1]
    of_last = [
        event
        for event in sessions.spoken.events
        if event.get("response_id") == last["response"]["id"]
    ]
    heard = speech.transcribe(clients.delivered(of_last))
    shown = words_of(sessions.spoken.history[3])
    assert word_error(shown, heard) <= WORDS_WRONG


async def test_talking_over_an_answer_tells_the_page_to_stop_playing(
    sessions: Sessions,
) -> None:
    told = [told.kind for told in sessions.spoken.told]
    assert "interrupted" in told
    kinds = [event["type"] for event in sessions.spoken.sent]
    assert kinds.count("conversation.item.truncate") == 1
    assert "response.cancel" not in kinds, "the server cancels by itself"


async def test_what_was_not_heard_is_taken_from_the_history(sessions: Sessions) -> None:
    [truncated] = sessions.spoken.all("conversation.item.truncated")
    items = {item["itemId"]: item for item in sessions.spoken.history}
    counted = words(words_of(items[truncated["item_id"]]))
    assert counted[:1] == ["one"]
    assert "twenty" not in counted


async def test_messages_sent_at_once_are_answered_one_after_the_other(
    sessions: Sessions,
) -> None:
    first, second, *_ = sessions.typed.all("response.done")
    assert first["response"]["status"] == second["response"]["status"] == "completed"
    told = [
        told.what for told in sessions.typed.told if told.kind in ("client", "server")
    ]
    asked = [i for i, e in enumerate(told) if e["type"] == "response.create"]
    assert told.index(first) < asked[1] < told.index(second)
    assert "5" in answers(sessions.typed)[0]


async def test_a_tool_is_run_and_its_result_spoken(sessions: Sessions) -> None:
    assert sessions.typed.tools_called == [{"city": "Paris"}]
    [called] = [i for i in sessions.typed.history if i["type"] == "function_call"]
    after = sessions.typed.history[sessions.typed.history.index(called) + 1]
    assert "sunny in Paris" in words_of(after)


async def test_a_picture_is_taken(sessions: Sessions) -> None:
    parts = [
        part
        for event in sessions.typed.all("conversation.item.added")
        for part in event["item"].get("content", ())
    ]
    [picture] = [part for part in parts if part["type"] == "input_image"]
    assert picture["image_url"] == PICTURE


async def test_a_message_is_corrected_in_its_place(sessions: Sessions) -> None:
    [deleted] = sessions.typed.all("conversation.item.deleted")
    added = sessions.typed.all("conversation.item.added")
    places = [
        e["previous_item_id"] for e in added if e["item"]["id"] == deleted["item_id"]
    ]
    assert places == [None, None]
    assert sessions.typed.history[0]["itemId"] == deleted["item_id"]


async def test_interrupting_cancels_what_is_being_generated(sessions: Sessions) -> None:
    cut = sessions.typed.all("response.done")[5]["response"]
    assert cut["status"] == "cancelled"
    assert cut["status_details"]["reason"] == "client_cancelled"


async def test_interrupting_what_is_generated_truncates_it(sessions: Sessions) -> None:
    truncated = sessions.typed.all("conversation.item.truncated")[1]
    items = {item["itemId"]: item for item in sessions.typed.history}
    counted = words(words_of(items[truncated["item_id"]]))
    assert counted[:1] == ["one"]
    assert "twenty" not in counted
