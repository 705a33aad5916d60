"""Every event of the API: sent and answered, or named as one not of the engine."""

import base64
from collections.abc import Iterable
from typing import Any

import orjson
import pytest

from relay.engine.errors import StageError
from tests.engine.talk import QUIET, VOICED, Talk, kinds, only, tone
from tests.support.event_rules import (
    CLIENT_EVENTS,
    SERVER_EVENTS,
    check,
    strict_parse_client,
)

NOT_OURS = {
    "conversation.created": "beta",
    "conversation.item.created": "beta",
    "conversation.item.input_audio_transcription.segment": "needs to tell speakers",
    "input_audio_buffer.dtmf_event_received": "SIP",
    "mcp_list_tools.completed": "no server is asked",
    "output_audio_buffer.cleared": "WebRTC: the relay plays",
    "output_audio_buffer.started": "WebRTC: the relay plays",
    "output_audio_buffer.stopped": "WebRTC: the relay plays",
    "response.mcp_call.completed": "no server is asked",
    "response.mcp_call.failed": "no server is asked",
    "response.mcp_call.in_progress": "no server is asked",
    "response.mcp_call_arguments.delta": "no server is asked",
    "response.mcp_call_arguments.done": "no server is asked",
}
"""Server events that the engine does not send, and why."""


class Client(Talk):
    """A talk whose own events are held against the official types too."""

    def __init__(self, *, only_transcribes: bool = False, **session: Any) -> None:
        self.sent: set[str] = set()
        super().__init__(only_transcribes=only_transcribes, **session)

    def send_raw(self, message: str | bytes) -> list[dict[str, Any]]:
        event = orjson.loads(message)
        strict_parse_client(event)
        self.sent.add(event["type"])
        return super().send_raw(message)


def item(role: str, *content: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return a message."""
    return {"type": "message", "role": role, "content": content, **fields}


def speaking() -> Client:
    """Speech, interrupted; the answer is cut to what was heard."""
    transcription = {"model": "whisper-1", "language": "en"}
    noise = {"type": "near_field", "strength": 0.5}
    heard = {"transcription": transcription, "noise_reduction": noise}
    client = Client(audio={"input": heard, "output": {"voice": {"id": "voice_1"}}})
    client.turn("Tell me a story.")
    begun = client.say("Once upon a time. ")
    client.voice(*[VOICED] * 10)
    item_id = only(begun, "response.output_item.added")["item"]["id"]
    place = {"item_id": item_id, "content_index": 0, "audio_end_ms": 500}
    client.send("conversation.item.truncate", **place)
    client.send("conversation.item.retrieve", item_id=item_id)
    client.voice(*[QUIET] * 20)
    return client


def unheard() -> Client:
    """Speech that the stage could not make into text."""
    client = Client(audio={"input": {"transcription": {"model": "whisper-1"}}})
    new = client.voice(*[VOICED] * 20, *[QUIET] * 20)
    item_id = only(new, "input_audio_buffer.committed")["item_id"]
    client.core.transcripts.pull(item_id, stage_is_idle=True)
    failure = StageError("transcription_failed", "No.")
    client.core.transcripts.not_heard(item_id, failure)
    client.drain()
    client.answer("Sorry? ")
    return client


def typing() -> Client:
    """Text and images, answered in text; an item deleted; one not there."""
    client = Client(output_modalities=["text"], instructions="Be brief.")
    url = "data:image/png;base64,AA=="
    parts = (
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": url, "detail": "low"},
    )
    client.send("conversation.item.create", item=item("user", *parts, id="shown"))
    system = item("system", {"type": "input_text", "text": "Hm."})
    client.send("conversation.item.create", item=system, previous_item_id="root")
    client.send("response.create", response={"max_output_tokens": 50})
    client.answer("A dot.")
    client.send("conversation.item.delete", item_id="shown")
    client.send("conversation.item.delete", item_id="shown", event_id="mine")
    return client


def calling() -> Client:
    """A function called and answered; the answer to that fails, then is cut short."""
    tool = {"type": "function", "name": "f", "description": "F.", "parameters": {}}
    client = Client(tools=[tool], tool_choice={"type": "function", "name": "f"})
    client.send("response.create")
    response_id = client.respond_command().response_id
    client.core.replies.call(response_id, "f", '{"a": 1}')
    done = client.complete()
    call_id = only(done, "response.done")["response"]["output"][0]["call_id"]
    output = {"type": "function_call_output", "call_id": call_id, "output": "{}"}
    client.send("conversation.item.create", item=output)
    client.send("response.create", response={"tool_choice": "none"})
    client.say("It is. ")
    response_id = client.respond_command().response_id
    failure = StageError("speech_failed", "No.")
    client.core.replies.fail(response_id, failure, client.now)
    client.drain()
    client.send("response.create", response={"max_output_tokens": 1})
    client.say("Far too long an answer. ")
    return client


def by_hand() -> Client:
    """Turns that the client ends itself; a response stopped; playing stopped."""
    client = Client(audio={"input": {"turn_detection": None}})
    client.append(tone(300))
    client.send("input_audio_buffer.clear")
    client.append(tone(300))
    new = client.send("input_audio_buffer.commit")
    client.hear(only(new, "input_audio_buffer.committed")["item_id"], "Hello.")
    client.send("response.create")
    client.say("Hi. ")
    client.send("response.cancel")
    client.send("output_audio_buffer.clear")
    client.send("response.cancel", event_id="mine")
    client.send("input_audio_buffer.commit", event_id="mine")
    return client


def aside() -> Client:
    """A response beside the conversation, while another is written."""
    client = Client(tracing="auto", truncation="auto")
    client.send("response.create")
    audio = base64.b64encode(tone(200).tobytes()).decode()
    parts = ({"type": "input_audio", "audio": audio, "transcript": "Hello."},)
    inputs = [item("user", *parts)]
    options = {"conversation": "none", "input": inputs, "metadata": {"topic": "a"}}
    client.send("response.create", response=options)
    client.answer("Beside. ")
    client.send("response.create", event_id="mine")
    return client


def silent() -> Client:
    """A caller who says nothing any more, and is prompted."""
    detection = {"type": "server_vad", "idle_timeout_ms": 5_000}
    client = Client(audio={"input": {"turn_detection": detection}})
    client.turn("Hello.")
    client.answer("Hello! ")
    client.voice(*[QUIET] * 200)
    client.now += 5.0
    client.core.tick(client.now)
    client.drain()
    client.answer("Are you there? ")
    return client


def served() -> Client:
    """Tools of a server, which the engine does not ask."""
    tool = {"type": "mcp", "server_label": "maps", "server_url": "https://mcp.example"}
    return Client(tools=[tool], include=["item.input_audio_transcription.logprobs"])


def listening() -> Client:
    """A session that only transcribes."""
    client = Client(only_transcribes=True)
    client.turn("Hello.")
    client.send("response.create", event_id="mine")
    return client


STORIES = (
    speaking, unheard, typing, calling, by_hand, aside, silent, served, listening
)  # fmt: skip


def names(sets: Iterable[Iterable[str]]) -> set[str]:
    """Return all names in sets."""
    return {name for one in sets for name in one}


@pytest.mark.parametrize("story", STORIES)
def test_a_conversation_keeps_to_types_and_order(story: Any) -> None:
    client = story()  # every event is parsed as it comes
    check(client.log)
    errors = [e["error"] for e in client.log if e["type"] == "error"]
    assert all(error["event_id"] == "mine" for error in errors)


def test_every_event_of_the_client_is_known() -> None:
    assert names(story().sent for story in STORIES) == set(CLIENT_EVENTS)


def test_every_event_of_the_server_is_sent_or_named_as_not_ours() -> None:
    sent = names(kinds(story().log) for story in STORIES)
    assert sent | set(NOT_OURS) == set(SERVER_EVENTS)
    assert not sent & set(NOT_OURS)
