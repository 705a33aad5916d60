"""What the page shows and sends, in a real call to a far end in the same browser."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser import events
from tests.browser.playground import Playground, error_body
from tests.support.waiting import LIMIT_S

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

DENIED = """() => {
    navigator.mediaDevices.getUserMedia = async () => {
        throw new DOMException("made for the test", "%s");
    };
}"""

BEEP = """() => new Promise(heard => {
    const lane = document.querySelector("#you-lane");
    new MutationObserver((_, observer) => {
        if (Number(lane.ariaValueNow) < 20) return;
        observer.disconnect();
        heard();
    }).observe(lane, { attributes: true });
})"""
"""Waits for the microphone's meter to show the beep of the browser's own device, which
is over before another look at it."""


async def fresh(playground: Playground) -> Page:
    playground.refusal = None
    playground.complaints.clear()
    playground.requests.clear()
    await playground.page.reload()
    return playground.page


async def received(playground: Playground, kind: str) -> list[dict[str, Any]]:
    """Wait until the far end has events of a kind."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            found = [one for one in await playground.received() if one["type"] == kind]
            if found:
                return found


async def test_a_call_shows_turns_and_the_wait_for_them(playground: Playground) -> None:
    page = await fresh(playground)
    await playground.start()
    async with asyncio.timeout(LIMIT_S):
        await page.evaluate(BEEP)
    await playground.say(*events.said("u1", "Hello."))
    await playground.sound(on=True)
    await playground.say(
        *events.response_began("r1", "a1"), events.replied("a1", "Hi.")
    )
    await expect(page.locator("#transcript .words")).to_have_text(["Hello.", "Hi."])
    await expect(page.locator("#last-reply")).to_contain_text("ms")


async def test_the_call_is_asked_for_by_the_public_api(playground: Playground) -> None:
    page = await fresh(playground)
    await playground.start()
    [headers] = playground.requests
    assert headers["Content-Type"] == "application/sdp"
    assert "Authorization" not in headers
    await expect(page.locator("#state")).to_have_attribute("data-call", "rtc_1")
    assert playground.complaints == []


async def test_a_key_goes_along_as_bearer(playground: Playground) -> None:
    page = await fresh(playground)
    await page.click(".settings summary")
    await page.fill("#api-key", "sk_1")
    await playground.start()
    assert playground.requests[0]["Authorization"] == "Bearer sk_1"


async def test_own_instructions_and_the_caller_s_words_are_asked_for(
    playground: Playground,
) -> None:
    page = await fresh(playground)
    await page.click(".settings summary")
    await page.fill("#instructions", "Speak like a pirate.")
    await playground.start()
    session = {"type": "realtime", "audio": {"input": {"transcription": None}}}
    await playground.say({"type": "session.created", "session": session})
    [update] = await received(playground, "session.update")
    assert update["session"]["instructions"] == "Speak like a pirate."
    assert update["session"]["audio"]["input"]["transcription"]["model"]


async def test_a_typed_message_is_sent_and_answered(playground: Playground) -> None:
    page = await fresh(playground)
    await playground.start()
    await page.fill("#message", "Good day")
    await page.press("#message", "Enter")
    await received(playground, "response.create")
    [created] = await received(playground, "conversation.item.create")
    assert created["item"]["content"] == [{"type": "input_text", "text": "Good day"}]
    await expect(page.locator("#message")).to_have_value("")


async def test_a_typed_message_interrupts_and_then_asks_for_an_answer(
    playground: Playground,
) -> None:
    page = await fresh(playground)
    await playground.start()
    await playground.say(*events.response_began("r1", "a1"))
    await expect(page.locator(".turn")).to_have_count(1)
    await page.fill("#message", "Stop")
    await page.click("#send")
    await received(playground, "conversation.item.create")
    await playground.say(events.response_done("r1", "cancelled"))
    await received(playground, "response.create")
    assert [event["type"] for event in await playground.received()] == [
        "response.cancel",
        "output_audio_buffer.clear",
        "conversation.item.create",
        "response.create",
    ]


async def test_the_server_s_reason_for_a_refusal_is_shown(
    playground: Playground,
) -> None:
    page = await fresh(playground)
    playground.refusal = (503, error_body("Too many calls."))
    await page.click("#call")
    await expect(page.locator("#problem")).to_have_text("Too many calls (HTTP 503).")
    await expect(page.locator("#call-label")).to_have_text("Start call")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotAllowedError", "The microphone is blocked"),
        ("NotFoundError", "No microphone was found"),
        ("SecurityError", "only to https:// pages"),
    ],
)
async def test_a_missing_microphone_is_explained(
    playground: Playground, name: str, words: str
) -> None:
    page = await fresh(playground)
    await page.evaluate(DENIED % name)
    await page.click("#call")
    await expect(page.locator("#problem")).to_contain_text(words)
    assert playground.requests == []


async def test_a_call_that_the_server_ends_can_be_started_again(
    playground: Playground,
) -> None:
    page = await fresh(playground)
    await playground.start()
    await playground.close_far_end()
    await expect(page.locator("#problem")).to_have_text("The server ended the call.")
    await expect(page.locator("#message")).to_be_disabled()
    await playground.start()
    await expect(page.locator("#problem")).to_be_hidden()


async def test_an_error_that_ends_the_call_stays_in_sight(
    playground: Playground,
) -> None:
    page = await fresh(playground)
    await playground.start()
    await playground.say({"type": "error", "error": {"message": "The time is up."}})
    await expect(page.locator("#problem")).to_have_text("The time is up.")
    await playground.close_far_end()
    await expect(page.locator("#problem")).to_have_text(
        "The server ended the call. The time is up."
    )


async def test_an_error_event_is_shown_and_the_call_goes_on(
    playground: Playground,
) -> None:
    page = await fresh(playground)
    await playground.start()
    await playground.say({"type": "error", "error": {"message": "No such voice."}})
    await expect(page.locator("#problem")).to_have_text("No such voice.")
    await expect(page.locator("#state")).to_have_attribute("data-state", "live")


async def test_hanging_up_frees_the_microphone(playground: Playground) -> None:
    page = await fresh(playground)
    await page.evaluate("""() => {
        const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) =>
            window.stream = await open(wanted);
    }""")
    await playground.start()
    await page.click("#call")
    await expect(page.locator("#state")).to_have_attribute("data-state", "ended")
    assert await page.evaluate("stream.getTracks()[0].readyState") == "ended"


async def test_the_log_unfolds_and_keeps_the_last_500_events(
    playground: Playground,
) -> None:
    page = await fresh(playground)
    await playground.start()
    await playground.say(*({"type": "rate_limits.updated", "n": n} for n in range(510)))
    await expect(page.locator("#event-count")).to_have_text("510")
    await page.click(".events > summary")
    rows = page.locator("#events > li")
    assert await rows.count() == 500
    assert await rows.locator("pre").count() == 0
    await rows.last.locator("summary").click()
    await expect(rows.last.locator("pre")).to_contain_text('"n": 509')


async def test_nothing_runs_over_the_edge_of_a_narrow_phone(
    playground: Playground,
) -> None:
    page = await fresh(playground)
    await page.set_viewport_size({"width": 320, "height": 640})
    await playground.start()
    await playground.say(*events.said("u1", "Supercalifragilistic" * 5))
    await page.click(".events > summary")
    await page.locator("#events summary").first.click()
    assert await page.evaluate("document.documentElement.scrollWidth") == 320


LINE_ENDS = """() => [...document.querySelectorAll("#events code")].flatMap(name => {
    const range = document.createRange();
    const nodes = document.createTreeWalker(name, NodeFilter.SHOW_TEXT);
    const drawn = [];
    while (nodes.nextNode()) for (let at = 0; at < nodes.currentNode.length; at += 1) {
        range.setStart(nodes.currentNode, at);
        range.setEnd(nodes.currentNode, at + 1);
        drawn.push([range.toString(), range.getBoundingClientRect().top]);
    }
    return drawn.flatMap(([letter, top], index) =>
        index + 1 < drawn.length && drawn[index + 1][1] > top ? [letter] : []);
})"""
"""The last letters of the lines of event names, but for each name's last line."""


async def test_a_narrow_phone_breaks_event_names_between_their_words(
    playground: Playground,
) -> None:
    page = await fresh(playground)
    await page.set_viewport_size({"width": 390, "height": 844})
    await playground.start()
    await playground.say(events.transcribed("u1", "Hi."))
    await page.click(".events > summary")
    name = "conversation.item.input_audio_transcription.completed"
    await expect(page.locator("#events code")).to_have_text(name)
    ends = await page.evaluate(LINE_ENDS)
    assert ends
    assert set(ends) <= {".", "_"}


async def test_how_replies_are_timed_can_be_read_by_keyboard(
    playground: Playground,
) -> None:
    page = await fresh(playground)
    note = page.get_by_text("the first sound of the agent")
    await expect(note).to_be_hidden()
    await page.focus("#call")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(note).to_be_visible()
    assert await page.locator("[title]").count() == 0
