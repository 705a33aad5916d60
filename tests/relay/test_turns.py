"""A call's turns as spans: who began them, and what was heard."""

import asyncio
from collections.abc import Awaitable, Callable

from opentelemetry.trace import StatusCode

from proto.frames import UpFrame
from relay.sight import Sight
from relay.turns import Turns
from runtime.traces import Steps
from tests.relay.test_session import Stage, begin_reply, play, say_audio
from tests.support.spans import Spans

SECOND = "A" * 64_000
"""Base64 of silence, 1 s."""


def turns_of(scene: Callable[[Stage], Awaitable[None]]) -> Spans:
    """Play a scene, and return the spans that it has left."""
    spans = Spans()
    trace = Steps(spans.tracer.begin("relay session"))

    async def watched(stage: Stage) -> None:
        stage.session.watched_by(Sight(turns=Turns(trace)))
        await scene(stage)

    play(watched)
    trace.close()
    return spans


def speak(stage: Stage) -> None:
    """Have the caller speak."""
    stage.upstream.say("input_audio_buffer.speech_started")
    stage.upstream.say("input_audio_buffer.speech_stopped")


def hear(stage: Stage, samples: int) -> None:
    """Have the edge tell how far the caller has heard."""
    stage.session.frame_received(UpFrame(0, 1, samples, b""))


def end_reply(stage: Stage) -> None:
    """End the response that `begin_reply` has begun."""
    stage.upstream.say("response.output_audio.done", response_id="resp_1")
    stage.upstream.say("response.done", response={"id": "resp_1"})


def test_an_answer_heard_to_its_end_is_a_turn() -> None:
    async def scene(stage: Stage) -> None:
        speak(stage)
        stage.upstream.say("response.created", response={"id": "resp_1"})
        say_audio(stage, SECOND)
        end_reply(stage)
        await asyncio.sleep(3)

    spans = turns_of(scene)
    assert spans.told("turn") == [
        {
            "turn.began_by": "caller",
            "turn.answered": True,
            "turn.interrupted": False,
            "turn.heard_ms": 1000,
            "turn.tool_calls": 0,
        }
    ]
    assert spans.parents() == {
        "wait": "turn",
        "turn": "relay session",
        "relay session": None,
    }
    assert {span.status.status_code for span in spans.ended} == {StatusCode.UNSET}


def test_an_interrupted_turn_tells_how_much_of_it_was_heard() -> None:
    async def scene(stage: Stage) -> None:
        speak(stage)
        begin_reply(stage)
        await asyncio.sleep(2)
        stage.upstream.say("input_audio_buffer.speech_started")
        await asyncio.sleep(0.1)
        stage.session.flush_done(1, 24_000)
        stage.upstream.say("input_audio_buffer.speech_stopped")

    first, second = turns_of(scene).told("turn")
    assert (first["turn.interrupted"], first["turn.heard_ms"]) == (True, 1000)
    assert (second["turn.interrupted"], second["turn.heard_ms"]) == (False, 0)


def test_a_turn_that_is_settled_after_the_next_began_keeps_its_own_figures() -> None:
    async def scene(stage: Stage) -> None:
        speak(stage)
        begin_reply(stage)
        await asyncio.sleep(2)
        hear(stage, 12_000)
        speak(stage)
        await asyncio.sleep(2)

    told = turns_of(scene).told("turn")
    assert [one["turn.heard_ms"] for one in told] == [500, 0]
    assert [one["turn.interrupted"] for one in told] == [True, False]


def test_who_speaks_on_begins_another_turn() -> None:
    async def scene(stage: Stage) -> None:
        speak(stage)
        await asyncio.sleep(0.2)
        speak(stage)
        begin_reply(stage)
        await asyncio.sleep(0.2)

    told = turns_of(scene).told("turn")
    assert [one["turn.answered"] for one in told] == [False, True]


def test_a_greeting_is_a_turn_that_the_client_began() -> None:
    async def scene(stage: Stage) -> None:
        begin_reply(stage)
        await asyncio.sleep(0.2)

    (turn,) = turns_of(scene).told("turn")
    assert turn["turn.began_by"] == "client"
    assert turn["turn.answered"]


def test_a_tool_call_and_what_is_said_of_its_result_are_one_turn() -> None:
    async def scene(stage: Stage) -> None:
        speak(stage)
        stage.upstream.say("response.created", response={"id": "resp_0"})
        stage.upstream.say(
            "response.function_call_arguments.done", name="secret", arguments="{}"
        )
        stage.upstream.say("response.done", response={"id": "resp_0"})
        await asyncio.sleep(1)
        begin_reply(stage)
        await asyncio.sleep(0.2)

    spans = turns_of(scene)
    (turn,) = spans.told("turn")
    assert (turn["turn.answered"], turn["turn.tool_calls"]) == (True, 1)
    assert spans.told("relay session") == [{"tool_calls": 1}]
    assert len(spans.named("wait")) == 1


def test_nothing_is_told_of_what_nobody_hears() -> None:
    async def scene(stage: Stage) -> None:
        stage.upstream.say(
            "response.created", response={"id": "resp_9", "conversation_id": None}
        )

    assert turns_of(scene).named("turn") == []
