"""Whole calls of a stock aiortc client through both services."""

import pytest

from tests.support.caller import calling
from tests.support.scraping import scrape
from tests.support.services import Stack, running_stack
from tests.support.sound import at_24_khz, at_48_khz
from tests.support.speech import speak, transcribe
from tests.support.waiting import until, until_reads

pytestmark = pytest.mark.interop

SESSION = {
    "type": "realtime",
    "instructions": "Answer in one sentence.",
    "audio": {"input": {"transcription": {"model": "whisper-1"}}},
}


def says_42(heard: str) -> bool:
    return "42" in heard or "forty" in heard.lower()


async def ended(stack: Stack) -> None:
    """Wait until neither service holds a call."""

    async def held() -> tuple[float, float]:
        edge, relay = await scrape(stack.url), await scrape(stack.relay.status_url)
        return edge.value("tandem_calls"), relay.value("tandem_relay_sessions")

    await until_reads(held, (0, 0))


@pytest.mark.asyncio
@pytest.mark.speech
async def test_a_spoken_question_gets_a_spoken_answer() -> None:
    question = at_48_khz(speak("What is seven times six?"))
    async with running_stack() as stack:
        async with calling(stack.url, session=SESSION) as caller:
            created = await caller.wait_for("session.created")
            assert created["session"]["instructions"] == SESSION["instructions"]
            since = len(caller.heard)
            caller.microphone.say(question)
            asked = await caller.wait_for(
                "conversation.item.input_audio_transcription.completed"
            )
            started = await caller.wait_for("output_audio_buffer.started")
            answered = await caller.wait_for("response.output_audio_transcript.done")
            stopped = await caller.wait_for("output_audio_buffer.stopped")
            await caller.wait_until(
                lambda: says_42(transcribe(at_24_khz(caller.heard[since:]))),
                "answer that can be understood",
            )
            kinds = {event["type"] for event in caller.events}
        await ended(stack)
    assert "six" in asked["transcript"].lower() or "6" in asked["transcript"]
    assert "42" in answered["transcript"]
    assert started["response_id"] == stopped["response_id"]
    assert "response.output_audio.delta" not in kinds
    assert "session.updated" not in kinds
    assert "error" not in kinds


@pytest.mark.asyncio
async def test_events_cross_both_ways_and_errors_name_their_cause() -> None:
    async with running_stack() as stack, calling(stack.url) as caller:
        await caller.wait_for("session.created")
        caller.send(
            {
                "type": "session.update",
                "session": {"type": "realtime", "instructions": "Whisper. " * 5_000},
            }
        )
        await caller.wait_until(
            lambda: any(
                len(event.get("session", {}).get("instructions", "")) == 45_000
                for event in caller.events
            ),
            "updated instructions",
        )
        caller.send({"type": "no.such.event", "event_id": "mine"})
        error = await caller.wait_for("error")
        assert error["error"]["event_id"] == "mine"
        caller.channel.send("this is not JSON")
        await caller.wait_for("error", 2)
        assert caller.connection.connectionState == "connected"


@pytest.mark.asyncio
async def test_hanging_up_leaves_nothing_behind(echo_stack: Stack) -> None:
    for _ in range(3):
        async with calling(echo_stack.url) as caller:
            await caller.wait_for("session.created")
        await ended(echo_stack)
    await until(lambda: echo_stack.transceiver.log.count("call ended") == 3)
    await until(lambda: echo_stack.relay.log.count("session closed") == 3)


@pytest.mark.asyncio
async def test_a_client_learns_why_its_upstream_cannot_be_reached() -> None:
    async with (
        running_stack("ws://127.0.0.1:9/v1/realtime") as stack,
        calling(stack.url) as caller,
    ):
        error = await caller.wait_for("error")
        assert error["error"]["type"] == "server_error"
        assert error["error"]["message"]
        await caller.wait_until(
            lambda: caller.channel.readyState == "closed", "end of the call"
        )


@pytest.mark.asyncio
async def test_a_client_learns_that_its_relay_was_lost() -> None:
    async with running_stack("echo") as stack, calling(stack.url) as caller:
        await caller.wait_for("session.created")
        await stack.relay.kill()
        error = await caller.wait_for("error")
        assert error["error"]["code"] == "relay_lost"
        await caller.wait_until(
            lambda: caller.channel.readyState == "closed", "end of the call"
        )
