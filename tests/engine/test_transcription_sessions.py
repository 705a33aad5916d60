"""Sessions that only listen: `?intent=transcription`."""

from typing import Any

import pytest

from tests.engine.talk import QUIET, VOICED, Talk, error_of, kinds, only, tone

TRANSCRIPTION = "conversation.item.input_audio_transcription"


def listening(**session: Any) -> Talk:
    """Return a transcription session."""
    return Talk(only_transcribes=True, **session)


def test_it_is_created_as_what_it_is() -> None:
    session = listening().log[0]["session"]
    assert session == {
        "type": "transcription",
        "object": "realtime.transcription_session",
        "id": session["id"],
        "include": None,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "transcription": {"model": "test-model"},
                "noise_reduction": None,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                },
            }
        },
    }


def test_a_spoken_turn_becomes_text_and_no_response() -> None:
    talk = listening()
    events = talk.turn("Hello there.")
    assert kinds(events) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        f"{TRANSCRIPTION}.delta",
        f"{TRANSCRIPTION}.completed",
    ]
    completed = only(events, f"{TRANSCRIPTION}.completed")
    assert completed["transcript"] == "Hello there."
    assert completed["usage"]["type"] == "duration"


def test_turns_follow_each_other() -> None:
    talk = listening()
    first = only(talk.turn("One."), "conversation.item.added")
    second = only(talk.turn("Two."), "conversation.item.added")
    assert second["previous_item_id"] == first["item"]["id"]


def test_words_are_told_while_they_are_spoken() -> None:
    talk = listening()
    started = only(talk.voice(*[VOICED] * 40), "input_audio_buffer.speech_started")
    transcripts, item_id = talk.core.transcripts, started["item_id"]
    deltas = []
    for text in ("The sky", "The sky is blue", "The sky is blue and wide"):
        piece = transcripts.pull(item_id, stage_is_idle=True)
        assert piece is not None
        transcripts.heard(item_id, text, piece)
        deltas += [e["delta"] for e in talk.drain()]
        talk.voice(*[VOICED] * 20)
    assert deltas == ["The", " sky is"]


def test_the_client_can_commit_its_turns_itself() -> None:
    talk = listening(audio={"input": {"turn_detection": None}})
    talk.append(tone(1000))
    committed = talk.send("input_audio_buffer.commit")
    item_id = only(committed, "input_audio_buffer.committed")["item_id"]
    heard = talk.hear(item_id, "Hello.")
    assert kinds(heard) == [f"{TRANSCRIPTION}.delta", f"{TRANSCRIPTION}.completed"]


def test_a_response_is_refused() -> None:
    talk = listening()
    talk.turn("Hello.")
    error = error_of(talk.send("response.create", event_id="mine"))
    assert (error["code"], error["event_id"]) == ("invalid_session_type", "mine")
    cancel = error_of(talk.send("response.cancel"))
    assert cancel["code"] == "response_cancel_not_active"


def test_its_rules_about_responses_are_taken_and_left_out() -> None:
    detection = {"type": "server_vad", "threshold": 0.7, "create_response": True}
    talk = listening(audio={"input": {"turn_detection": detection}})
    rules = talk.log[-1]["session"]["audio"]["input"]["turn_detection"]
    assert rules == {
        "type": "server_vad",
        "threshold": 0.7,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
    }
    assert "response.created" not in kinds(talk.turn("Hello."))


def test_semantic_turns_end_too() -> None:
    talk = listening(audio={"input": {"turn_detection": {"type": "semantic_vad"}}})
    events = talk.voice(*[VOICED] * 20, *[QUIET] * 30)
    assert "input_audio_buffer.committed" in kinds(events)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"input": {"transcription": None}}, {}),
        ({"input": {"transcription": {"language": "en"}}}, {"language": "en"}),
        ({"input": None}, {}),
        (None, {}),
    ],
)
def test_it_transcribes_with_its_model_whatever_is_cleared(
    given: Any, kept: dict[str, str]
) -> None:
    talk = listening(audio={"input": {"transcription": {"model": "whisper-1"}}})
    talk.update(audio=given)
    after = talk.log[-1]["session"]["audio"]["input"]["transcription"]
    assert after == {"model": "whisper-1", **kept}


def test_probabilities_may_be_asked_for_and_stay_unknown() -> None:
    talk = listening(include=["item.input_audio_transcription.logprobs"])
    completed = only(talk.turn("Hello."), f"{TRANSCRIPTION}.completed")
    assert completed["logprobs"] is None


def test_what_only_a_realtime_session_has_is_refused() -> None:
    error = error_of(listening().update(instructions="Be brief."))
    assert (error["code"], error["param"]) == (
        "unknown_parameter",
        "session.instructions",
    )


@pytest.mark.parametrize("only_transcribes", [True, False])
def test_a_session_keeps_its_type(only_transcribes: bool) -> None:
    talk = Talk(only_transcribes=only_transcribes)
    before = talk.log[0]["session"]
    other = "realtime" if only_transcribes else "transcription"
    update = {"type": other, "audio": {"input": {"turn_detection": None}}}
    error = error_of(talk.send("session.update", session=update, event_id="mine"))
    assert error["code"] == "invalid_parameter"
    assert error["param"] == "session.type"
    assert error["event_id"] == "mine"
    assert f"Passing a {other} session update event" in error["message"]
    assert only(talk.update(), "session.updated")["session"] == before


def test_items_are_created_retrieved_and_deleted() -> None:
    talk = listening()
    item_id = only(talk.turn("Hello."), "conversation.item.added")["item"]["id"]
    item = talk.send("conversation.item.retrieve", item_id=item_id)[0]["item"]
    assert item["content"][0]["transcript"] == "Hello."
    deleted = talk.send("conversation.item.delete", item_id=item_id)
    assert kinds(deleted) == ["conversation.item.deleted"]


def test_silence_is_not_prompted() -> None:
    detection = {"type": "server_vad", "idle_timeout_ms": 5_000}
    talk = listening(audio={"input": {"turn_detection": detection}})
    talk.turn("Hello.")
    assert talk.core.next_deadline() is None
