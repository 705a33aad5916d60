"""The Realtime client of npm's `openai` in a browser: only its base URL is changed."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.browser.recording import WORDS_WRONG, word_error, words
from tests.interop.javascript import client as clients
from tests.interop.javascript.checks import assert_clean
from tests.interop.javascript.client import Client
from tests.interop.javascript.conftest import Place

speech = pytest.importorskip("tests.support.speech", exc_type=ImportError)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.interop,
    pytest.mark.speech,
    pytest.mark.asyncio(loop_scope="package"),
]

QUESTION = {
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": "What is two plus three?"}],
}


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def session(place: Place) -> AsyncIterator[Client]:
    """Ask once for text and once for speech."""
    async with place.page("openai") as client:
        await client.connect("websocket", place.stack.url, await place.client_secret())
        await client.wait_for("session.created")
        for number, modality in enumerate(("text", "audio"), start=1):
            update = {"type": "realtime", "output_modalities": [modality]}
            await client.call("send", {"type": "session.update", "session": update})
            await client.call(
                "send", {"type": "conversation.item.create", "item": QUESTION}
            )
            await client.call("send", {"type": "response.create"})
            await client.wait_for("response.done", number)
        await client.call("close")
        yield client


async def test_the_session_obeys_the_api(session: Client) -> None:
    assert_clean(session)


async def test_the_edge_is_free_once_the_client_has_closed(
    session: Client, place: Place
) -> None:
    assert await place.is_free()


async def test_a_question_is_answered_in_writing(session: Client) -> None:
    [written] = session.all("response.output_text.done")
    assert "5" in words(written["text"])


async def test_a_question_is_answered_aloud(session: Client) -> None:
    [spoken] = session.all("response.output_audio_transcript.done")
    assert "5" in words(spoken["transcript"])
    heard = speech.transcribe(clients.delivered(session.events))
    assert word_error(spoken["transcript"], heard) <= WORDS_WRONG
