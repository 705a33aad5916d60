"""Items: created, retrieved, deleted, truncated; and every way to get that wrong."""

import base64
from typing import Any

import numpy as np
import pytest

from relay.engine.conversation import MAX_AUDIO_BYTES, MAX_ITEMS, Conversation
from relay.engine.items import message
from relay.engine.ports import HOP_SAMPLES, Image, Said, Samples
from tests.engine.talk import HOPS_TO_END, Talk, error_of, kinds, only, tone


def text_item(text: str, **fields: Any) -> dict[str, Any]:
    """Return a user's typed message."""
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content, **fields}


def ids_in_order(talk: Talk) -> list[str]:
    """Return what a reply would read, as texts in order."""
    talk.send("response.create", response={"conversation": "none"})
    turns = talk.respond_command().request.turns
    talk.complete()
    return [turn.text for turn in turns if isinstance(turn, Said)]


def test_a_created_item_is_added_then_done() -> None:
    events = Talk().send("conversation.item.create", item=text_item("Hi.", id="mine"))
    assert kinds(events) == ["conversation.item.added", "conversation.item.done"]
    assert events[0]["previous_item_id"] is None
    assert events[0]["item"] == {
        "id": "mine",
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_text", "text": "Hi."}],
    }


def test_items_go_where_the_client_says() -> None:
    talk = Talk()
    talk.send("conversation.item.create", item=text_item("b", id="b"))
    talk.send("conversation.item.create", item=text_item("d", id="d"))
    first = {"item": text_item("a", id="a"), "previous_item_id": "root"}
    assert talk.send("conversation.item.create", **first)[0]["previous_item_id"] is None
    middle = {"item": text_item("c", id="c"), "previous_item_id": "b"}
    assert talk.send("conversation.item.create", **middle)[0]["previous_item_id"] == "b"
    assert ids_in_order(talk) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "item",
    [
        {"role": "system", "content": [{"type": "input_text", "text": "Be kind."}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]},
        {
            "role": "assistant",
            "content": [{"type": "output_audio", "transcript": "Yes."}],
        },
    ],
)
def test_messages_of_every_role_can_be_created(item: dict[str, Any]) -> None:
    events = Talk().send("conversation.item.create", item={"type": "message", **item})
    assert kinds(events) == ["conversation.item.added", "conversation.item.done"]


def test_an_image_is_kept_with_its_message() -> None:
    parts = [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}]
    item = {"type": "message", "role": "user", "content": parts}
    added = Talk().send("conversation.item.create", item=item)[0]
    assert added["item"]["content"] == parts


def test_a_reply_is_shown_the_images() -> None:
    talk = Talk()
    url = "data:image/png;base64,AA=="
    parts = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": url, "detail": "low"},
    ]
    item = {"type": "message", "role": "user", "content": parts}
    talk.send("conversation.item.create", item=item)
    talk.send("response.create")
    shown = Said("user", "What is this?", (Image(url, "low"),))
    assert talk.respond_command().request.turns == (shown,)


def test_audio_inside_a_created_item_is_heard_before_the_reply() -> None:
    talk = Talk()
    audio = base64.b64encode(tone(500).tobytes()).decode()
    item = text_item("")
    item["content"] = [{"type": "input_audio", "audio": audio}]
    added = talk.send("conversation.item.create", item=item)[0]["item"]
    assert "audio" not in added["content"][0]
    talk.send("response.create")
    assert len(talk.commands) == 1
    talk.hear(added["id"], "Hello.")
    assert talk.respond_command().request.turns == (Said("user", "Hello."),)


def test_a_retrieved_item_is_as_it_is_now() -> None:
    talk = Talk()
    talk.send("conversation.item.create", item=text_item("Hi.", id="mine"))
    retrieved = talk.send("conversation.item.retrieve", item_id="mine")
    assert only(retrieved, "conversation.item.retrieved")["item"]["id"] == "mine"


def test_a_deleted_item_is_gone() -> None:
    talk = Talk()
    talk.send("conversation.item.create", item=text_item("Hi.", id="mine"))
    deleted = talk.send("conversation.item.delete", item_id="mine")
    assert only(deleted, "conversation.item.deleted")["item_id"] == "mine"
    error = error_of(talk.send("conversation.item.retrieve", item_id="mine"))
    assert error["code"] == "item_retrieve_invalid_item_id"


@pytest.mark.parametrize("verb", ["retrieve", "delete", "truncate"])
def test_an_unknown_item_is_an_error_that_names_the_verb(verb: str) -> None:
    fields: dict[str, Any] = {"item_id": "none", "event_id": "mine"}
    if verb == "truncate":
        fields |= {"content_index": 0, "audio_end_ms": 0}
    error = error_of(Talk().send(f"conversation.item.{verb}", **fields))
    assert error["code"] == f"item_{verb}_invalid_item_id"
    assert error["event_id"] == "mine"


def test_an_id_that_is_taken_is_refused() -> None:
    talk = Talk()
    talk.send("conversation.item.create", item=text_item("one", id="mine"))
    again = talk.send(
        "conversation.item.create", item=text_item("two", id="mine"), event_id="e"
    )
    assert error_of(again)["code"] == "item_create_duplicate_item_id"
    assert error_of(again)["event_id"] == "e"
    assert ids_in_order(talk) == ["one"]


def test_an_unknown_previous_item_is_refused() -> None:
    talk = Talk()
    events = talk.send(
        "conversation.item.create", item=text_item("a"), previous_item_id="none"
    )
    assert error_of(events)["param"] == "previous_item_id"
    assert ids_in_order(talk) == []


# Truncation


def spoken(talk: Talk) -> str:
    """Let the assistant say three sentences of a second each; return the item's id."""
    talk.send("response.create")
    events = talk.say("One. ") + talk.say("Two. ") + talk.say("Three. ")
    talk.complete()
    item_id: str = only(events, "conversation.item.added")["item"]["id"]
    return item_id


def retrieved_part(talk: Talk, item_id: str) -> dict[str, Any]:
    """Return the first part of an item as it is now."""
    event = only(
        talk.send("conversation.item.retrieve", item_id=item_id),
        "conversation.item.retrieved",
    )
    part: dict[str, Any] = event["item"]["content"][0]
    return part


def pcm_of(part: dict[str, Any]) -> Samples:
    """Return the audio of a part, in PCM."""
    return np.frombuffer(base64.b64decode(part.get("audio", "")), np.int16)


def truncate(talk: Talk, item_id: str, audio_end_ms: int, index: int = 0) -> Any:
    """Truncate an item."""
    return talk.send(
        "conversation.item.truncate",
        item_id=item_id,
        content_index=index,
        audio_end_ms=audio_end_ms,
    )


@pytest.mark.parametrize(
    ("audio_end_ms", "kept"),
    [
        (0, ""),
        (1, ""),
        (1000, "One. "),
        (1500, "One. "),
        (3000, "One. Two. Three. "),
    ],
)
def test_a_truncated_item_keeps_what_was_heard(audio_end_ms: int, kept: str) -> None:
    talk = Talk()
    item_id = spoken(talk)
    event = only(truncate(talk, item_id, audio_end_ms), "conversation.item.truncated")
    assert event["audio_end_ms"] == audio_end_ms
    part = retrieved_part(talk, item_id)
    assert part["transcript"] == kept
    heard = pcm_of(part)
    assert len(heard) == audio_end_ms * 24


def test_the_next_reply_reads_what_was_heard() -> None:
    talk = Talk()
    truncate(talk, spoken(talk), 2100)
    assert ids_in_order(talk) == ["One. Two. "]


def test_inside_a_sentence_whole_words_are_kept_as_far_as_they_came() -> None:
    talk = Talk()
    talk.send("response.create")
    events = talk.say("The sky is blue.", 1600)
    talk.complete()
    item_id = only(events, "conversation.item.added")["item"]["id"]
    truncate(talk, item_id, 1050)
    assert retrieved_part(talk, item_id)["transcript"] == "The sky is "


def test_the_silence_after_a_sentence_is_not_needed_to_have_heard_it() -> None:
    breath = np.zeros(400 * 24, np.int16)
    talk = Talk()
    talk.send("response.create")
    response_id = talk.respond_command().response_id
    pcm = np.concatenate([breath, tone(600), breath])
    talk.core.replies.say(response_id, "Yes.", pcm, talk.now)
    item_id = only(talk.drain(), "conversation.item.added")["item"]["id"]
    talk.complete()
    truncate(talk, item_id, 1010)
    assert retrieved_part(talk, item_id)["transcript"] == "Yes."
    truncate(talk, item_id, 990)
    assert retrieved_part(talk, item_id)["transcript"] == ""


def test_what_is_written_after_its_truncation_is_not_kept() -> None:
    talk = Talk()
    talk.send("response.create")
    item_id = only(talk.say("One. "), "conversation.item.added")["item"]["id"]
    truncate(talk, item_id, 1000)
    talk.say("Two. ")
    ended = talk.complete()
    said = only(ended, "response.output_audio_transcript.done")["transcript"]
    assert said == "One. Two. "
    assert retrieved_part(talk, item_id)["transcript"] == "One. "
    assert len(pcm_of(retrieved_part(talk, item_id))) == 24_000
    assert "1000ms" in error_of(truncate(talk, item_id, 1001))["message"]


def test_audio_cannot_be_truncated_beyond_its_end() -> None:
    talk = Talk()
    item_id = spoken(talk)
    error = error_of(truncate(talk, item_id, 3001))
    assert error["message"] == "Audio content of 3000ms is already shorter than 3001ms"
    assert error["param"] == "audio_end_ms"


def test_a_truncated_item_is_as_short_as_it_was_made() -> None:
    talk = Talk()
    item_id = spoken(talk)
    truncate(talk, item_id, 1000)
    assert "1000ms" in error_of(truncate(talk, item_id, 1001))["message"]


def test_only_the_audio_of_the_assistant_can_be_truncated() -> None:
    talk = Talk()
    talk.send("conversation.item.create", item=text_item("Hi.", id="mine"))
    assert error_of(truncate(talk, "mine", 0))["code"] == "invalid_value"
    assert (
        error_of(truncate(talk, spoken(talk), 0, index=1))["param"] == "content_index"
    )


def test_truncation_ends_the_wait_for_what_would_have_been_played() -> None:
    idle = {"type": "server_vad", "idle_timeout_ms": 5000}
    talk = Talk(audio={"input": {"turn_detection": idle}})
    item_id = spoken(talk)
    truncate(talk, item_id, 100)
    deadline = talk.core.next_deadline()
    assert deadline == pytest.approx(talk.now + 5.0)


# Audio


def test_a_retrieved_turn_of_the_caller_has_its_audio() -> None:
    talk = Talk(audio={"input": {"turn_detection": None}})
    talk.append(tone(700))
    committed = talk.send("input_audio_buffer.commit")
    item_id = only(committed, "input_audio_buffer.committed")["item_id"]
    assert np.array_equal(pcm_of(retrieved_part(talk, item_id)), tone(700))


def test_a_turn_that_was_found_has_the_audio_before_its_first_word() -> None:
    talk = Talk()
    item_id = only(talk.turn("Hi.", hops=20), "conversation.item.added")["item"]["id"]
    hops = len(pcm_of(retrieved_part(talk, item_id))) / HOP_SAMPLES
    assert hops >= 20 + HOPS_TO_END


def test_a_retrieved_answer_has_its_audio() -> None:
    talk = Talk()
    assert len(pcm_of(retrieved_part(talk, spoken(talk)))) == 3 * 24_000


@pytest.mark.parametrize("format_type", ["audio/pcmu", "audio/pcma"])
def test_audio_is_given_in_the_formats_of_the_session(format_type: str) -> None:
    side = {"format": {"type": format_type}}
    talk = Talk(audio={"input": side, "output": side})
    narrow = base64.b64encode(bytes(range(256)) * 8).decode()
    item = text_item("", id="mine")
    item["content"] = [{"type": "input_audio", "audio": narrow}]
    talk.send("conversation.item.create", item=item)
    talk.hear("mine", "Hello.")
    for item_id, length_ms in (("mine", 256), (spoken(talk), 3000)):
        audio = base64.b64decode(retrieved_part(talk, item_id)["audio"])
        assert len(audio) == pytest.approx(length_ms * 8, abs=40)


def test_audio_that_the_client_gave_comes_back() -> None:
    talk = Talk()
    pcm = tone(500)
    audio = base64.b64encode(pcm.tobytes()).decode()
    part = {"type": "output_audio", "audio": audio, "transcript": "Yes. No."}
    item = {"type": "message", "role": "assistant", "content": [part], "id": "mine"}
    talk.send("conversation.item.create", item=item)
    assert np.array_equal(pcm_of(retrieved_part(talk, "mine")), pcm)
    truncate(talk, "mine", 260)
    assert retrieved_part(talk, "mine")["transcript"] == "Yes. "


# Bounds


def test_the_oldest_audio_is_forgotten_first_and_words_stay() -> None:
    conversation = Conversation()
    third = bytes(MAX_AUDIO_BYTES // 3)
    for number in range(4):
        part = {"type": "input_audio", "transcript": "Hello."}
        item = message(f"item_{number}", "user", [part], "completed")
        conversation.add(item)
        conversation.record(item, third)
    kept = [bool(item.audio) for item in conversation]
    assert kept == [False, True, True, True]
    first = next(iter(conversation))
    conversation.record(first, b"more")
    assert not first.audio
    assert first.body["content"][0]["transcript"] == "Hello."


def test_audio_longer_than_all_that_is_kept_is_not_kept_in_part() -> None:
    conversation = Conversation()
    item = message("item", "assistant", [], "in_progress")
    conversation.add(item)
    for _ in range(3):
        conversation.record(item, bytes(MAX_AUDIO_BYTES // 2))
    assert not item.audio


def test_what_was_deleted_keeps_no_audio() -> None:
    conversation = Conversation()
    item = message("item", "assistant", [], "in_progress")
    conversation.add(item)
    conversation.delete("item")
    conversation.record(item, b"more")
    assert not item.audio


def test_a_full_conversation_forgets_its_oldest_item() -> None:
    conversation = Conversation()
    for number in range(MAX_ITEMS + 1):
        conversation.add(message(f"item_{number}", "user", [], "completed"))
    ids = [item.id for item in conversation]
    assert (ids[0], len(ids)) == ("item_1", MAX_ITEMS)


def test_a_conversation_forgets_its_oldest_images() -> None:
    conversation = Conversation()
    image = {"type": "input_image", "image_url": "x" * 12_000_000}
    for number in range(4):
        conversation.add(message(f"item_{number}", "user", [image], "completed"))
    assert [item.id for item in conversation] == ["item_2", "item_3"]
