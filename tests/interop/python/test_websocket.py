"""`openai` over WebSocket, where the application and not the server takes the turns."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import TypeVar

import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import (
    ConversationItemDeletedEvent,
    ConversationItemDone,
    ConversationItemInputAudioTranscriptionCompletedEvent as Transcribed,
    RealtimeErrorEvent,
    ResponseDoneEvent,
    SessionUpdatedEvent,
)
from openai.types.realtime.realtime_server_event import ConversationItemRetrieved
from pydantic import BaseModel

from tests.browser.recording import WORDS_WRONG, word_error
from tests.interop.python.conftest import KEY
from tests.support import event_rules
from tests.support.recording_proxy import RecordingProxy
from tests.support.services import Stack

speech = pytest.importorskip("tests.support.speech", exc_type=ImportError)

pytestmark = [
    pytest.mark.interop,
    pytest.mark.speech,
    pytest.mark.asyncio(loop_scope="package"),
]

MODEL = "gpt-realtime"
NAME = "Hello, my name is Anna."
WAIT_S = 20.0
CHUNK_BYTES = 9_600

Event = TypeVar("Event", bound=BaseModel)


@pytest_asyncio.fixture(loop_scope="package")
async def proxy(stack: Stack) -> AsyncIterator[RecordingProxy]:
    """Keep what is said; in the end hold it against the API's types and order."""
    proxy = RecordingProxy(stack.url)
    async with proxy.running():
        yield proxy
    [session] = proxy.sessions
    events = session.events("server")
    for event in events:
        event_rules.strict_parse(event)
    event_rules.check(events, is_over=True)


@pytest_asyncio.fixture(loop_scope="package")
async def client(proxy: RecordingProxy) -> AsyncIterator[AsyncOpenAI]:
    """The package, as its users have it."""
    async with AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=KEY) as client:
        yield client


async def next_of(connection: AsyncRealtimeConnection, kind: type[Event]) -> Event:
    """Return the next event of a type; the others are passed over, errors are not."""
    async with asyncio.timeout(WAIT_S):
        while True:
            event = await connection.recv()
            if isinstance(event, kind):
                return event
            assert not isinstance(event, RealtimeErrorEvent), event


async def say(connection: AsyncRealtimeConnection, text: str) -> None:
    """Append a spoken text to the input buffer, all at once."""
    pcm = speech.speak(text).tobytes()
    for start in range(0, len(pcm), CHUNK_BYTES):
        audio = base64.b64encode(pcm[start : start + CHUNK_BYTES]).decode()
        await connection.input_audio_buffer.append(audio=audio)


async def test_turns_are_taken_by_hand_and_answered_in_text(
    client: AsyncOpenAI,
) -> None:
    async with client.realtime.connect(model=MODEL) as connection:
        await connection.session.update(
            session={
                "type": "realtime",
                "output_modalities": ["text"],
                "audio": {"input": {"turn_detection": None}},
            }
        )
        await next_of(connection, SessionUpdatedEvent)
        await say(connection, NAME)
        await connection.input_audio_buffer.commit()
        await next_of(connection, ConversationItemDone)
        await connection.response.create()
        done = await next_of(connection, ResponseDoneEvent)
        assert done.response.status == "completed"
        [item] = done.response.output or []
        assert item.type == "message"
        assert "Anna" in (item.content[0].text or "")


async def test_items_are_retrieved_and_deleted(client: AsyncOpenAI) -> None:
    async with client.realtime.connect(model=MODEL) as connection:
        await connection.conversation.item.create(
            item={
                "id": "item_of_the_client",
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": NAME}],
            }
        )
        await connection.conversation.item.retrieve(item_id="item_of_the_client")
        found = await next_of(connection, ConversationItemRetrieved)
        assert found.item.type == "message"
        assert found.item.role == "user"
        await connection.conversation.item.delete(item_id="item_of_the_client")
        await next_of(connection, ConversationItemDeletedEvent)
        await connection.conversation.item.retrieve(
            item_id="item_of_the_client", event_id="rci_item_of_the_client"
        )
        refused = await next_of(connection, RealtimeErrorEvent)
        assert refused.error.code == "item_retrieve_invalid_item_id"
        assert refused.error.event_id == "rci_item_of_the_client"


async def test_a_response_outside_the_conversation_leaves_no_trace(
    client: AsyncOpenAI,
) -> None:
    async with client.realtime.connect(model=MODEL) as connection:
        await connection.response.create(
            response={
                "conversation": "none",
                "output_modalities": ["text"],
                "metadata": {"topic": "sums"},
                "input": [
                    {
                        "type": "message",
                        "role": "user",
                        "content": [
                            {"type": "input_text", "text": "What is 6 times 7?"}
                        ],
                    }
                ],
            }
        )
        done = await next_of(connection, ResponseDoneEvent)
        assert done.response.conversation_id is None
        assert done.response.metadata == {"topic": "sums"}
        [item] = done.response.output or []
        assert item.type == "message"
        assert "42" in (item.content[0].text or "")
        await connection.conversation.item.retrieve(item_id=item.id or "")
        refused = await next_of(connection, RealtimeErrorEvent)
        assert refused.error.code == "item_retrieve_invalid_item_id"


async def test_a_transcription_session_only_listens(client: AsyncOpenAI) -> None:
    async with client.realtime.connect(
        extra_query={"intent": "transcription"}
    ) as connection:
        await connection.session.update(
            session={
                "type": "transcription",
                "audio": {
                    "input": {
                        "transcription": {"model": "gpt-4o-mini-transcribe"},
                        "turn_detection": None,
                    }
                },
            }
        )
        await next_of(connection, SessionUpdatedEvent)
        await say(connection, NAME)
        await connection.input_audio_buffer.commit()
        heard = await next_of(connection, Transcribed)
        assert word_error(NAME, heard.transcript) <= WORDS_WRONG, heard.transcript
