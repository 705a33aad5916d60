"""One client's connection: stages and client together, with nothing real in them."""

import numpy as np
import pytest

from relay.engine.errors import StageError
from relay.engine.ports import Call, Pause, Said, Say
from tests.engine.fakes import (
    FakeHearing,
    FakeReply,
    FakeSocket,
    FakeSpeaking,
    fake_parts,
    session,
)
from tests.engine.talk import tone

pytestmark = pytest.mark.asyncio

SILENCE = np.zeros(24_000, np.int16)
TRANSCRIBE = {
    "type": "realtime",
    "audio": {"input": {"transcription": {"model": "whisper-1"}}},
}


def speak(socket: FakeSocket) -> None:
    """Speak a turn of a second to its end."""
    socket.append(np.concatenate([tone(1000), SILENCE]))


async def test_a_spoken_turn_is_heard_and_answered_with_speech() -> None:
    reply, speaking = FakeReply([Say("Hello. "), Say("Bye.")]), FakeSpeaking()
    async with session(fake_parts(reply, FakeHearing("Hi!"), speaking)) as socket:
        socket.send("session.update", session=TRANSCRIBE)
        speak(socket)
        await socket.until("input_audio_buffer.committed", "response.done")
    assert reply.requests[0].turns == (Said("user", "Hi!"),)
    assert speaking.texts == ["Hello.", "Bye."]
    assert len(socket.audio()) == 240 * len("Hello.Bye.")
    done = socket.log[socket.kinds().index("response.done")]["response"]
    assert done["output"][0]["content"][0]["transcript"] == "Hello. Bye."
    completed = "conversation.item.input_audio_transcription.completed"
    assert socket.log[socket.kinds().index(completed)]["transcript"] == "Hi!"


async def test_pauses_and_calls_come_in_their_place() -> None:
    pieces: list[Say | Pause | Call] = [
        Say("One. "),
        Pause(100),
        Say("Two."),
        Call("get", "{}"),
    ]
    async with session(fake_parts(FakeReply(pieces))) as socket:
        socket.send("response.create")
        await socket.until("response.done")
    done = socket.log[socket.kinds().index("response.done")]["response"]
    assert [item["type"] for item in done["output"]] == ["message", "function_call"]
    audio = socket.audio()
    assert len(audio) == 240 * len("One.Two.") + 2400
    assert not audio[960 : 960 + 2400].any()


async def test_a_text_response_is_not_spoken() -> None:
    speaking = FakeSpeaking()
    reply = FakeReply([Say("Hel"), Say("lo.")])
    async with session(fake_parts(reply, None, speaking)) as socket:
        socket.send("response.create", response={"output_modalities": ["text"]})
        await socket.until("response.done")
    assert speaking.texts == []
    assert socket.kinds().count("response.output_text.delta") == 2


async def test_barging_in_stops_the_reply() -> None:
    reply = FakeReply([Say("One. ")], is_endless=True)
    async with session(fake_parts(reply)) as socket:
        socket.send("response.create")
        await socket.until("response.output_audio_transcript.delta")
        socket.append(tone(200))
        await socket.until("input_audio_buffer.speech_started", "response.done")
        assert reply.closed_count == 1


async def test_a_cancelled_reply_is_stopped_and_another_may_follow() -> None:
    reply = FakeReply([Say("One. ")], is_endless=True)
    async with session(fake_parts(reply)) as socket:
        socket.send("response.create")
        await socket.until("response.output_audio_transcript.delta")
        socket.send("response.cancel")
        socket.send("response.create")
        after = await socket.until("response.done", "response.created")
        await socket.until("response.output_audio_transcript.delta", after=after)
        socket.send("response.cancel")
        await socket.until("response.done", after=after)
    assert "error" not in socket.kinds()


async def test_a_reply_over_its_token_limit_is_read_no_further() -> None:
    reply = FakeReply([Say("A long sentence."), Say(" Another.")], is_endless=True)
    async with session(fake_parts(reply)) as socket:
        socket.send("response.create", response={"max_output_tokens": 1})
        await socket.until("response.done", "rate_limits.updated")
        assert reply.closed_count == 1
    assert socket.log[-2]["response"]["status"] == "incomplete"


@pytest.mark.parametrize("stage", ["reply", "speaking"])
async def test_a_stage_that_fails_ends_its_response_only(stage: str) -> None:
    error = StageError("broken", "It broke.")
    reply = FakeReply([Say("One.")], error if stage == "reply" else None)
    speaking = FakeSpeaking(error if stage == "speaking" else None)
    async with session(fake_parts(reply, None, speaking)) as socket:
        socket.send("response.create")
        after = await socket.until("response.done")
        assert socket.log[after - 1]["response"]["status"] == "failed"
        socket.send("input_audio_buffer.clear")
        await socket.until("input_audio_buffer.cleared", after=after)


async def test_a_turn_that_cannot_be_heard_is_answered_all_the_same() -> None:
    hearing = FakeHearing("", StageError("broken", "It broke."))
    reply = FakeReply([Say("What?")])
    async with session(fake_parts(reply, hearing)) as socket:
        socket.send("session.update", session=TRANSCRIBE)
        speak(socket)
        await socket.until(
            "input_audio_buffer.committed",
            "conversation.item.input_audio_transcription.failed",
            "response.done",
        )
    assert reply.requests[0].turns == (Said("user", ""),)


async def test_every_utterance_is_closed() -> None:
    hearing = FakeHearing("Hi.")
    async with session(fake_parts(FakeReply([]), hearing)) as socket:
        speak(socket)
        await socket.until("response.done")
        socket.append(tone(200))
        await socket.until("input_audio_buffer.speech_started", after=5)
    assert hearing.open_count == 0


async def test_a_client_that_vanishes_ends_the_session() -> None:
    reply = FakeReply([Say("One. ")], is_endless=True)
    async with session(fake_parts(reply)) as socket:
        socket.send("response.create")
        await socket.until("response.output_audio_transcript.delta")
        socket.is_broken = True
        socket.send("input_audio_buffer.clear")
    assert reply.closed_count == 1


async def test_a_turn_sent_in_one_message_is_found_all_the_same() -> None:
    reply = FakeReply([Say("Yes.")])
    async with session(fake_parts(reply)) as socket:
        spoken = np.concatenate([SILENCE, tone(1000), SILENCE])
        socket.append(spoken, frame_samples=len(spoken))
        after = await socket.until("input_audio_buffer.speech_started")
        assert socket.log[after - 1]["audio_start_ms"] == pytest.approx(700, abs=32)
        after = await socket.until("input_audio_buffer.speech_stopped")
        assert socket.log[after - 1]["audio_end_ms"] == pytest.approx(2500, abs=32)
        await socket.until("response.done")
