"""The official Python client over WebSocket, with all services running."""

import asyncio
import base64
from typing import Any

import numpy as np
import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from tests.support.services import Stack, running_stack
from tests.support.sound import Pcm

speech = pytest.importorskip("tests.support.speech", exc_type=ImportError)

pytestmark = [pytest.mark.interop, pytest.mark.speech, pytest.mark.asyncio]

WAIT_S = 60.0
"""A spoken answer takes seconds of CPU, which others may be using."""

CHUNK_BYTES = 4_800
SILENCE = np.zeros(24_000, np.int16)
SIX_TIMES_SEVEN = "What is seven times six?"


def client_of(stack: Stack) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{stack.url}/v1", api_key="x", max_retries=0)


async def until(connection: AsyncRealtimeConnection, kind: str) -> list[Any]:
    """Return the events up to the next of a type; an error fails."""
    events: list[Any] = []
    async with asyncio.timeout(WAIT_S):
        while not events or events[-1].type != kind:
            events.append(await connection.recv())
            assert events[-1].type != "error", events[-1]
    return events


async def say(connection: AsyncRealtimeConnection, audio: bytes) -> None:
    for start in range(0, len(audio), CHUNK_BYTES):
        chunk = base64.b64encode(audio[start : start + CHUNK_BYTES]).decode()
        await connection.input_audio_buffer.append(audio=chunk)


def sound_of(events: list[Any]) -> bytes:
    deltas = [e.delta for e in events if e.type == "response.output_audio.delta"]
    return b"".join(base64.b64decode(delta) for delta in deltas)


async def test_a_written_turn_gets_written_words() -> None:
    async with (
        running_stack() as stack,
        client_of(stack) as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        first = await connection.recv()
        assert first.type == "session.created"
        await connection.session.update(
            session={"type": "realtime", "output_modalities": ["text"]}
        )
        await until(connection, "session.updated")
        await connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": SIX_TIMES_SEVEN}],
            }
        )
        await connection.response.create()
        events = await until(connection, "response.done")
    (text,) = [e.text for e in events if e.type == "response.output_text.done"]
    assert "42" in text
    assert not sound_of(events)


@pytest.mark.parametrize("law", ["audio/pcm", "audio/pcmu", "audio/pcma"])
async def test_a_spoken_turn_gets_a_spoken_answer_in_the_clients_format(
    law: str,
) -> None:
    question = np.concatenate([speech.speak(SIX_TIMES_SEVEN), SILENCE])
    form: Any = {"type": law} | ({"rate": 24_000} if law == "audio/pcm" else {})
    async with (
        running_stack() as stack,
        client_of(stack) as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        await connection.session.update(
            session={
                "type": "realtime",
                "audio": {"input": {"format": form}, "output": {"format": form}},
            }
        )
        await until(connection, "session.updated")
        await say(connection, written(question, law))
        events = await until(connection, "response.done")
    heard = speech.transcribe(read(sound_of(events), law))
    assert "42" in heard or "forty" in heard.lower()


def written(pcm: Pcm, law: str) -> bytes:
    """Write sound at 24 kHz in a format; G.711 has 8 kHz."""
    if law == "audio/pcm":
        return pcm.astype("<i2").tobytes()
    narrow = pcm[: len(pcm) // 3 * 3].reshape(-1, 3).mean(axis=1)
    codes = levels(law)
    order = np.argsort(codes)
    places = np.searchsorted(codes[order], narrow).clip(0, 255)
    return bytes(order[places].astype(np.uint8))


def read(data: bytes, law: str) -> Pcm:
    """Read sound at 24 kHz."""
    if law == "audio/pcm":
        return np.frombuffer(data, "<i2").astype(np.int16)
    narrow = levels(law)[np.frombuffer(data, np.uint8)]
    moments = np.arange(len(narrow) * 3) / 3
    return np.interp(moments, np.arange(len(narrow)), narrow).astype(np.int16)


def levels(law: str) -> Pcm:
    """Return the level of each of the 256 codes (ITU-T G.711)."""
    code = np.arange(256)
    if law == "audio/pcmu":
        code = ~code & 0xFF
        step, mantissa = (code >> 4) & 7, code & 15
        level = (((mantissa << 3) + 132) << step) - 132
        return np.where(code & 0x80, -level, level).astype(np.int16)
    code = code ^ 0x55
    step, mantissa = (code >> 4) & 7, code & 15
    level = (mantissa << 4) + 8
    level = np.where(step > 0, (level + 256) << np.maximum(step - 1, 0), level)
    return np.where(code & 0x80, level, -level).astype(np.int16)
