"""@openai/agents-realtime over WebRTC, as a browser application uses it.

The calls are held at once, each by a page of its own; tests read what they left.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.browser.recording import WORDS_WRONG, spans, word_error, words
from tests.interop.javascript.checks import answers, assert_clean
from tests.interop.javascript.client import Client, Event, Heard, words_of
from tests.interop.javascript.conftest import Place
from tests.interop.javascript.says import COUNT, NAME, PICTURE

speech = pytest.importorskip("tests.support.speech", exc_type=ImportError)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.interop,
    pytest.mark.speech,
    pytest.mark.asyncio(loop_scope="package"),
]

SILENCED_S = 0.3
PAUSE_S = 1.2


class Calls(NamedTuple):
    """The calls that were held."""

    spoken: Client
    heard: Heard
    typed: Client
    interrupted: Client
    muted: Client
    words_while_muted: list[Event]


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def calls(place: Place) -> AsyncIterator[Calls]:
    """Hold all calls at once."""
    async with place.pages(4) as (spoken, typed, interrupted, muted):
        for client in (spoken, typed, interrupted, muted):
            secret = await place.client_secret()
            await client.connect("webrtc", place.stack.url, secret)
        async with asyncio.TaskGroup() as tasks:
            heard = tasks.create_task(speak(spoken))
            tasks.create_task(write(typed))
            tasks.create_task(interrupt(interrupted))
            words_while_muted = tasks.create_task(mute(muted))
        yield Calls(
            spoken,
            heard.result(),
            typed,
            interrupted,
            muted,
            words_while_muted.result(),
        )


async def speak(client: Client) -> Heard:
    """A turn, its long answer talked over by another turn, and the answer to that."""
    await client.say(speech.speak(COUNT))
    await client.wait_for("output_audio_buffer.started", 1)
    await asyncio.sleep(2.0)
    await client.say(speech.speak(NAME))
    await client.wait_for("output_audio_buffer.stopped", 1)
    heard = await client.hear()
    await client.call("close")
    return heard


async def write(client: Client) -> None:
    """Two messages at once, one that needs the tool, a picture."""
    await client.call("write", "What is two plus three?")
    await client.call("write", "What is four plus five?")
    await client.wait_for("output_audio_buffer.stopped", 2)
    await client.call("write", "What is the weather in Paris?")
    await client.wait_for("output_audio_buffer.stopped", 3)
    await client.call("show", PICTURE, True)
    await client.wait_for("output_audio_buffer.stopped", 4)
    await client.call("close")


async def interrupt(client: Client) -> None:
    """A long answer cut while it is heard, then one that nobody has heard yet."""
    await client.call("write", COUNT)
    await client.wait_for("output_audio_buffer.started", 1)
    await asyncio.sleep(2.0)
    await client.call("interrupt")
    await client.wait_for("conversation.item.retrieved", 1)
    await client.call("interruptAt", "response.output_item.added")
    await client.call("write", COUNT)
    await client.wait_for("response.done", 2)
    await asyncio.sleep(1.0)
    await client.call("interrupt")
    await client.call("write", "What is two plus three?")
    await client.wait_for("response.done", 3)
    await client.wait_for("output_audio_buffer.stopped", 1)
    await client.call("close")


async def mute(client: Client) -> list[Event]:
    """Words that are not sent, then words that are."""
    await client.call("mute", True)
    await client.say(speech.speak(COUNT))
    await asyncio.sleep(1.5)
    while_muted = client.all("input_audio_buffer.speech_started")
    await client.call("mute", False)
    await client.say(speech.speak(NAME))
    await client.wait_for("output_audio_buffer.stopped", 1)
    await client.call("close")
    return while_muted


async def test_every_session_obeys_the_api(calls: Calls) -> None:
    for client in (calls.spoken, calls.typed, calls.interrupted, calls.muted):
        assert_clean(client)


async def test_a_page_of_another_origin_learns_the_id_of_its_call(calls: Calls) -> None:
    assert (calls.spoken.call_id or "").startswith("rtc_")


async def test_the_edge_is_free_once_the_clients_have_closed(
    calls: Calls, place: Place
) -> None:
    assert await place.is_free()


async def test_the_history_is_the_conversation(calls: Calls) -> None:
    roles = [item["role"] for item in calls.spoken.history]
    assert roles == ["user", "assistant"] * 2
    said = [words_of(item) for item in calls.spoken.history]
    assert word_error(COUNT, said[0]) <= WORDS_WRONG
    assert words(said[1])[:1] == ["one"]
    assert word_error(NAME, said[2]) <= WORDS_WRONG
    assert "anna" in words(said[3])


async def test_an_answer_is_heard_as_the_history_has_it(calls: Calls) -> None:
    started = calls.heard.times("output_audio_buffer.started")[1]
    [stopped] = calls.heard.times("output_audio_buffer.stopped")
    heard = speech.transcribe(calls.heard.between(started, stopped + 0.5))
    assert word_error(words_of(calls.spoken.history[3]), heard) <= WORDS_WRONG


async def test_talking_over_an_answer_silences_it(calls: Calls) -> None:
    heard = calls.heard
    [cut] = heard.times("output_audio_buffer.cleared")
    next_answer = heard.times("output_audio_buffer.started")[1]
    assert spans(heard.between(cut - 1.5, cut), PAUSE_S), "it was not speaking"
    assert not spans(heard.between(cut + SILENCED_S, next_answer), PAUSE_S)


async def test_talking_over_an_answer_takes_no_help_of_the_client(calls: Calls) -> None:
    kinds = {event["type"] for event in calls.spoken.sent}
    assert kinds == {"session.update", "conversation.item.retrieve"}


async def test_what_was_not_heard_is_taken_from_the_history(calls: Calls) -> None:
    [truncated] = calls.spoken.all("conversation.item.truncated")
    items = {item["itemId"]: item for item in calls.spoken.history}
    counted = words(words_of(items[truncated["item_id"]]))
    assert counted[:1] == ["one"]
    assert "twenty" not in counted


async def test_messages_sent_at_once_are_answered_one_after_the_other(
    calls: Calls,
) -> None:
    first, second, *_ = calls.typed.all("response.done")
    assert first["response"]["status"] == second["response"]["status"] == "completed"
    told = [told.what for told in calls.typed.told if told.kind in ("client", "server")]
    asked = [i for i, e in enumerate(told) if e["type"] == "response.create"]
    assert told.index(first) < asked[1] < told.index(second)
    assert "5" in answers(calls.typed)[0]


async def test_a_tool_is_run_and_its_result_spoken(calls: Calls) -> None:
    assert calls.typed.tools_called == [{"city": "Paris"}]
    [called] = [i for i in calls.typed.history if i["type"] == "function_call"]
    assert "sunny in Paris" in called["output"]
    after = calls.typed.history[calls.typed.history.index(called) + 1]
    assert "sunny in Paris" in words_of(after)


async def test_a_picture_is_taken(calls: Calls) -> None:
    parts = [
        part
        for event in calls.typed.all("conversation.item.added")
        for part in event["item"].get("content", ())
    ]
    [picture] = [part for part in parts if part["type"] == "input_image"]
    assert picture["image_url"] == PICTURE


async def test_interrupting_cuts_the_answer_where_it_was_heard(calls: Calls) -> None:
    truncated = calls.interrupted.all("conversation.item.truncated")[0]
    assert 500 <= truncated["audio_end_ms"] <= 4_000
    items = {item["itemId"]: item for item in calls.interrupted.history}
    assert "twenty" not in words(words_of(items[truncated["item_id"]]))


async def test_interrupting_at_once_leaves_next_to_nothing_of_the_answer(
    calls: Calls,
) -> None:
    second = calls.interrupted.all("response.done")[1]["response"]
    assert second["status"] == "cancelled"
    [written] = [
        event["item"]["id"]
        for event in calls.interrupted.all("response.output_item.added")
        if event["response_id"] == second["id"]
    ]
    cut = [e for e in calls.interrupted.events if e.get("item_id") == written][-1]
    if cut["type"] == "conversation.item.truncated":
        assert cut["audio_end_ms"] > 0
        retrieved = calls.interrupted.all("conversation.item.retrieved")[-1]["item"]
        assert retrieved["id"] == written
        assert set(words(words_of(retrieved))) <= {"one"}
    else:
        assert cut["type"] == "conversation.item.deleted"
        assert written not in {item["itemId"] for item in calls.interrupted.history}


async def test_who_is_muted_takes_no_turn(calls: Calls) -> None:
    assert calls.words_while_muted == []


async def test_who_is_not_muted_any_more_does(calls: Calls) -> None:
    assert word_error(NAME, words_of(calls.muted.history[0])) <= WORDS_WRONG
    assert len(calls.muted.history) == 2
