"""Each client holds one conversation: a written turn, spoken ones, a tool, a barge-in.

They are held at the same time on one stack; every test reads what they left.
"""

import asyncio
import base64
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from aiohttp import WSCloseCode

from proto.frames import SAMPLE_RATE_HZ
from tests.browser.recording import WORDS_WRONG, word_error, words
from tests.interop.python import programs
from tests.interop.python.clients import stage
from tests.interop.python.conftest import KEY
from tests.interop.python.programs import Held
from tests.support import event_rules
from tests.support.recording_proxy import Event
from tests.support.services import Stack
from tests.support.sound import Pcm

speech = pytest.importorskip("tests.support.speech", exc_type=ImportError)

CLIENTS = ("openai_sdk", "openai_agents", "livekit_agents", "pipecat_ai")

pytestmark = [
    pytest.mark.interop,
    pytest.mark.speech,
    pytest.mark.asyncio(loop_scope="package"),
    pytest.mark.parametrize("client", CLIENTS),
]

LINES = {
    "weather": "What is the weather in Paris?",
    "count": "Please count slowly to twenty.",
    "name": "Stop it please and tell me my name.",
}
"""What the caller says, by the names under which the programs know the lines."""

REPLIES: tuple[set[str], ...] = (
    {"nice", "anna"},
    {"sunny", "21", "degrees"},
    set(),
    {"your", "name", "anna"},
)
"""Words of each reply, in order; the one that is talked over has none for certain."""


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def conversations(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Held]:
    """Hold all the conversations at the same time."""
    programs.require()
    folders = {client: tmp_path_factory.mktemp(client) for client in CLIENTS}
    for folder in folders.values():
        write_lines(folder)
    async with asyncio.TaskGroup() as tasks:
        held = {
            client: tasks.create_task(programs.hold(client, stack.url, KEY, folder))
            for client, folder in folders.items()
        }
    return {client: task.result() for client, task in held.items()}


@pytest.fixture
def held(conversations: Mapping[str, Held], client: str) -> Held:
    """The conversation that one client held."""
    return conversations[client]


def write_lines(folder: Path) -> None:
    """Write what the caller says."""
    for name, text in LINES.items():
        (folder / f"{name}.pcm").write_bytes(speech.speak(text).tobytes())


def sound(held: Held, reply: int) -> Pcm:
    """Return what the client played of a reply."""
    data = (held.folder / held.all("reply")[reply]["audio"]).read_bytes()
    return np.frombuffer(data, "<i2").astype(np.int16)


async def test_it_holds_the_whole_conversation(held: Held) -> None:
    assert held.exit_code == 0, (held.seen, held.log)
    assert held.seen[-1] == {"saw": "end"}
    replies = [set(words(reply["text"])) for reply in held.all("reply")]
    assert len(replies) == len(REPLIES)
    for number, wanted in enumerate(REPLIES):
        assert wanted <= replies[number], held.seen


async def test_nothing_goes_wrong(held: Held) -> None:
    assert held.all("error") == []
    assert held.session.events("server", "error") == []
    assert "Traceback" not in held.log, held.log


async def test_the_server_s_events_are_the_api_s(held: Held) -> None:
    events = held.session.events("server")
    for event in events:
        event_rules.strict_parse(event)
    event_rules.check(events, is_over=True)


async def test_the_caller_is_understood(held: Held) -> None:
    kind = "conversation.item.input_audio_transcription.completed"
    heard = [event["transcript"] for event in held.session.events("server", kind)]
    assert len(heard) == len(LINES)
    for line, text in zip(LINES.values(), heard, strict=True):
        assert word_error(line, text) <= WORDS_WRONG, text


async def test_one_connection_lasts_until_the_client_leaves(held: Held) -> None:
    assert held.session.path == f"/v1/realtime?model={stage.MODEL}"
    assert held.session.closed == ("client", WSCloseCode.OK)


async def test_what_is_played_is_what_is_said(held: Held) -> None:
    heard = speech.transcribe(sound(held, 0))
    shown = held.all("reply")[0]["text"]
    assert word_error(shown, heard) <= WORDS_WRONG, (shown, heard)


async def test_the_tool_is_called_and_its_answer_reaches_the_model(held: Held) -> None:
    assert [tool["arguments"] for tool in held.all("tool")] == [{"city": "Paris"}]
    created = held.session.events("client", "conversation.item.create")
    items = [event["item"] for event in created]
    [output] = [item for item in items if item["type"] == "function_call_output"]
    assert stage.WEATHER in output["output"]


async def test_an_interruption_truncates_what_was_not_heard(held: Held) -> None:
    [asked] = held.session.events("client", "conversation.item.truncate")
    [done] = held.session.events("server", "conversation.item.truncated")
    for name in ("item_id", "content_index", "audio_end_ms"):
        assert done[name] == asked[name]
    assert 0 < done["audio_end_ms"] < delivered_ms(held, asked["item_id"])


def delivered_ms(held: Held, item_id: str) -> int:
    """Return how much audio of an item the server sent."""
    deltas: list[Event] = held.session.events("server", "response.output_audio.delta")
    sent = [base64.b64decode(e["delta"]) for e in deltas if e["item_id"] == item_id]
    return sum(map(len, sent)) // 2 * 1000 // SAMPLE_RATE_HZ
