"""Turns found by voice activity: their events, in the order of the API."""

import pytest

from relay.engine.errors import StageError
from relay.engine.outbox import Abort, Listen
from relay.engine.ports import Said
from tests.engine.talk import (
    HOP_MS,
    HOPS_TO_END,
    QUIET,
    VOICED,
    Talk,
    error_of,
    kinds,
    only,
    tone,
)

TRANSCRIBED = {"input": {"transcription": {"model": "whisper-1"}}}


def test_a_session_begins_with_session_created() -> None:
    talk = Talk()
    assert kinds(talk.log) == ["session.created"]
    assert talk.log[0]["session"]["model"] == "test-model"


def test_a_spoken_turn_has_its_events_in_order() -> None:
    talk = Talk(audio=TRANSCRIBED)
    events = talk.turn("Hello there.") + talk.answer("Hello to you.")
    assert kinds(events) == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "conversation.item.input_audio_transcription.delta",
        "conversation.item.input_audio_transcription.completed",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]


def test_the_item_of_a_turn_has_the_id_told_when_speech_started() -> None:
    talk = Talk()
    events = talk.turn("Hello.")
    item_id = only(events, "input_audio_buffer.speech_started")["item_id"]
    assert only(events, "input_audio_buffer.committed")["item_id"] == item_id
    assert only(events, "conversation.item.added")["item"]["id"] == item_id


def test_items_name_the_item_before_them() -> None:
    talk = Talk()
    first = talk.turn("One.") + talk.answer("Two.")
    committed = only(talk.turn("Three."), "input_audio_buffer.committed")
    added = [e for e in first if e["type"] == "conversation.item.added"]
    assert added[0]["previous_item_id"] is None
    assert added[1]["previous_item_id"] == added[0]["item"]["id"]
    assert committed["previous_item_id"] == added[1]["item"]["id"]


def test_speech_starts_at_its_first_voiced_hop_less_the_padding() -> None:
    talk = Talk()
    events = talk.voice(*[QUIET] * 20, VOICED, VOICED)
    started = only(events, "input_audio_buffer.speech_started")
    assert started["audio_start_ms"] == 20 * HOP_MS - 300


def test_the_padding_does_not_reach_before_the_session() -> None:
    events = Talk().voice(VOICED, VOICED)
    assert only(events, "input_audio_buffer.speech_started")["audio_start_ms"] == 0


def test_speech_stops_after_the_silence_asked_and_counts_it() -> None:
    talk = Talk()
    talk.voice(*[VOICED] * 10)
    assert talk.voice(*[QUIET] * (HOPS_TO_END - 1)) == []
    stopped = only(talk.voice(QUIET), "input_audio_buffer.speech_stopped")
    assert stopped["audio_end_ms"] == (10 + HOPS_TO_END) * HOP_MS


def test_a_click_is_no_speech() -> None:
    assert Talk().voice(QUIET, VOICED, QUIET, VOICED, QUIET) == []


def test_a_wavering_word_does_not_end_a_turn() -> None:
    talk = Talk()
    talk.voice(VOICED, VOICED)
    assert talk.voice(*[0.4] * 40) == []


def test_positions_go_on_after_a_turn() -> None:
    talk = Talk()
    talk.turn("One.")
    talk.answer("Two.")
    talk.voice(*[QUIET] * 30)
    before_ms = (20 + HOPS_TO_END + 30) * HOP_MS
    started = only(talk.voice(VOICED, VOICED), "input_audio_buffer.speech_started")
    assert started["audio_start_ms"] == before_ms - 300


def test_a_turn_is_heard_from_its_start() -> None:
    talk = Talk()
    events = talk.voice(*[QUIET] * 20, *[VOICED] * 2)
    item_id = only(events, "input_audio_buffer.speech_started")["item_id"]
    assert talk.commands == [Listen(item_id)]
    talk.voice(*[VOICED] * 20)
    piece = talk.core.transcripts.pull(item_id, stage_is_idle=True)
    assert piece is not None
    assert len(piece) == (22 * HOP_MS + 300) * 48


def test_a_text_settled_in_the_pause_is_final_when_the_turn_ends() -> None:
    talk = Talk(audio=TRANSCRIBED)
    started = talk.voice(*[VOICED] * 10, *[QUIET] * 7)[0]
    talk.hear(started["item_id"], "Six times seven.")
    events = talk.voice(*[QUIET] * (HOPS_TO_END - 7))
    completed = only(events, "conversation.item.input_audio_transcription.completed")
    assert completed["transcript"] == "Six times seven."
    assert talk.respond_command().request.turns == (Said("user", "Six times seven."),)


def test_speech_after_a_pause_makes_the_text_of_the_pause_a_partial_one() -> None:
    talk = Talk(audio=TRANSCRIBED)
    started = talk.voice(*[VOICED] * 10, *[QUIET] * 7)[0]
    talk.hear(started["item_id"], "Six times")
    events = talk.voice(*[VOICED] * 10, *[QUIET] * HOPS_TO_END)
    assert "conversation.item.input_audio_transcription.completed" not in kinds(events)
    events = talk.hear(started["item_id"], "Six times seven.")
    completed = only(events, "conversation.item.input_audio_transcription.completed")
    assert completed["transcript"] == "Six times seven."


def test_deltas_are_words_that_two_hypotheses_agree_on() -> None:
    talk = Talk(audio=TRANSCRIBED)
    item_id = talk.voice(*[VOICED] * 20)[0]["item_id"]
    assert talk.hear(item_id, "What is sad") == []
    talk.voice(*[VOICED] * 20)
    delta = only(
        talk.hear(item_id, "What is seven times"),
        "conversation.item.input_audio_transcription.delta",
    )
    assert delta["delta"] == "What"
    talk.voice(*[QUIET] * HOPS_TO_END)
    events = talk.hear(item_id, "What is seven times six?")
    assert events[0]["delta"] == " is seven times six?"
    assert events[1]["transcript"] == "What is seven times six?"


def test_a_final_text_that_contradicts_its_deltas_adds_none() -> None:
    talk = Talk(audio=TRANSCRIBED)
    item_id = talk.voice(*[VOICED] * 20)[0]["item_id"]
    talk.hear(item_id, "Ice cream please")
    talk.voice(*[VOICED] * 20)
    talk.hear(item_id, "Ice cream please")
    talk.voice(*[QUIET] * HOPS_TO_END)
    events = talk.hear(item_id, "I scream, please.")
    assert kinds(events) == ["conversation.item.input_audio_transcription.completed"]


def test_without_transcription_the_client_is_told_no_text() -> None:
    talk = Talk()
    events = talk.turn("Hello.")
    assert not any("transcription" in kind for kind in kinds(events))
    item_id = only(events, "conversation.item.done")["item"]["id"]
    retrieved = talk.send("conversation.item.retrieve", item_id=item_id)[0]
    assert retrieved["item"]["content"][0]["transcript"] is None


def test_a_transcribed_item_is_retrieved_with_its_text() -> None:
    talk = Talk(audio=TRANSCRIBED)
    events = talk.turn("Hello.")
    item_id = only(events, "conversation.item.done")["item"]["id"]
    retrieved = talk.send("conversation.item.retrieve", item_id=item_id)[0]
    assert retrieved["item"]["content"][0]["transcript"] == "Hello."


def test_a_reply_waits_for_the_text_of_its_turn() -> None:
    talk = Talk()
    events = talk.voice(*[VOICED] * 20, *[QUIET] * HOPS_TO_END)
    assert kinds(events)[-1] == "response.created"
    assert [type(command) for command in talk.commands] == [Listen]
    talk.hear(events[0]["item_id"], "Hello.")
    assert talk.respond_command().request.turns == (Said("user", "Hello."),)


def test_a_failed_transcription_is_told_and_answered_as_not_understood() -> None:
    talk = Talk(audio=TRANSCRIBED)
    item_id = talk.voice(*[VOICED] * 20, *[QUIET] * HOPS_TO_END)[0]["item_id"]
    error = StageError("transcription_failed", "no")
    talk.core.transcripts.not_heard(item_id, error)
    failed = only(talk.drain(), "conversation.item.input_audio_transcription.failed")
    assert failed["error"] == error.body()
    assert talk.respond_command().request.turns == (Said("user", ""),)


def test_a_transcription_that_fails_in_mid_turn_is_told_once_the_turn_ends() -> None:
    talk = Talk(audio=TRANSCRIBED)
    item_id = talk.voice(*[VOICED] * 20)[0]["item_id"]
    talk.core.transcripts.not_heard(item_id, StageError("transcription_failed", "no"))
    assert talk.drain() == []
    events = talk.voice(*[QUIET] * HOPS_TO_END)
    assert kinds(events)[-1].endswith("transcription.failed")
    assert talk.respond_command().request.turns == (Said("user", ""),)


def test_speaking_cancels_the_response_under_way() -> None:
    talk = Talk()
    talk.turn("Count to twenty.")
    talk.say("One. ")
    events = talk.voice(VOICED, VOICED)
    assert kinds(events) == [
        "input_audio_buffer.speech_started",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    response = only(events, "response.done")["response"]
    assert response["status"] == "cancelled"
    assert response["status_details"] == {
        "type": "cancelled",
        "reason": "turn_detected",
    }
    assert response["output"][0]["status"] == "incomplete"
    assert Abort(response["id"]) in talk.commands


def test_cancelling_what_speech_has_cancelled_is_no_error() -> None:
    talk = Talk()
    talk.turn("Count to twenty.")
    talk.say("One. ")
    events = talk.voice(VOICED, VOICED)
    response_id = only(events, "response.done")["response"]["id"]
    assert talk.send("response.cancel") == []
    assert talk.send("response.cancel", response_id=response_id) == []
    assert kinds(talk.send("response.cancel", response_id="resp_none")) == ["error"]


def test_what_speech_cancelled_is_forgotten_with_the_next_response() -> None:
    talk = Talk()
    talk.turn("Count to twenty.")
    talk.say("One. ")
    talk.voice(VOICED, VOICED)
    talk.send("response.create")
    assert "response.done" in kinds(talk.send("response.cancel"))
    assert kinds(talk.send("response.cancel")) == ["error"]


def test_what_a_cancelled_reply_still_yields_is_dropped() -> None:
    talk = Talk()
    talk.turn("Count.")
    talk.say("One. ")
    talk.voice(VOICED, VOICED)
    assert talk.answer("Two. ") == []


def test_with_interrupt_response_off_the_response_goes_on() -> None:
    detection = {"type": "server_vad", "interrupt_response": False}
    talk = Talk(audio={"input": {"turn_detection": detection}})
    talk.turn("Count.")
    events = talk.voice(*[VOICED] * 20)
    assert kinds(events) == ["input_audio_buffer.speech_started"]
    assert kinds(talk.complete()) == ["response.done", "rate_limits.updated"]


def test_a_turn_during_an_uninterrupted_response_is_an_error_not_a_response() -> None:
    detection = {"type": "server_vad", "interrupt_response": False}
    talk = Talk(audio={"input": {"turn_detection": detection}})
    talk.turn("Count.")
    events = talk.voice(*[VOICED] * 20, *[QUIET] * HOPS_TO_END)
    error = only(events, "error")["error"]
    assert error["code"] == "conversation_already_has_active_response"


def test_with_create_response_off_a_turn_is_only_committed() -> None:
    detection = {"type": "server_vad", "create_response": False}
    talk = Talk(audio={"input": {"turn_detection": detection}})
    assert kinds(talk.turn("Hello."))[-1] == "conversation.item.done"


@pytest.mark.parametrize(
    ("eagerness", "silence_ms"), [("low", 1200), ("medium", 700), ("high", 400)]
)
def test_semantic_vad_waits_as_eagerness_says(eagerness: str, silence_ms: int) -> None:
    detection = {"type": "semantic_vad", "eagerness": eagerness}
    talk = Talk(audio={"input": {"turn_detection": detection}})
    talk.voice(*[VOICED] * 10)
    hops = -(-silence_ms // HOP_MS)
    assert talk.voice(*[QUIET] * (hops - 1)) == []
    assert kinds(talk.voice(QUIET))[0] == "input_audio_buffer.speech_stopped"


def test_an_endless_turn_is_ended() -> None:
    talk = Talk()
    events = talk.voice(*[VOICED] * (120_000 // HOP_MS + 1))
    assert "input_audio_buffer.speech_stopped" in kinds(events)


def test_clearing_the_buffer_drops_the_turn_under_way() -> None:
    talk = Talk()
    item_id = talk.voice(*[VOICED] * 10)[0]["item_id"]
    assert kinds(talk.send("input_audio_buffer.clear")) == [
        "input_audio_buffer.cleared"
    ]
    assert not talk.core.transcripts.is_wanted(item_id)
    assert talk.voice(*[QUIET] * 30) == []


def test_a_client_may_commit_the_turn_under_way() -> None:
    talk = Talk()
    item_id = talk.voice(*[VOICED] * 10)[0]["item_id"]
    committed = talk.send("input_audio_buffer.commit")
    assert committed[0]["item_id"] == item_id
    assert talk.voice(*[QUIET] * 30) == []


# Idle timeout


IDLE = {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 6000}}}


def test_a_caller_silent_after_an_answer_is_prompted() -> None:
    talk = Talk(audio=IDLE)
    talk.turn("Hello.")
    talk.answer("Hello.", duration_ms=2000)
    deadline = talk.core.next_deadline()
    assert deadline is not None
    assert deadline == pytest.approx(talk.now + 2.0 + 6.0)
    talk.core.tick(deadline - 0.01)
    assert talk.drain() == []
    talk.core.tick(deadline)
    events = talk.drain()
    assert kinds(events) == [
        "input_audio_buffer.timeout_triggered",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    assert talk.respond_command().request.is_idle


def test_a_caller_who_speaks_is_not_prompted() -> None:
    talk = Talk(audio=IDLE)
    talk.turn("Hello.")
    talk.answer("Hello.")
    talk.voice(VOICED, VOICED)
    assert talk.core.next_deadline() is None


def test_a_caller_speaking_when_an_answer_ends_is_not_prompted() -> None:
    rules = {**IDLE["input"]["turn_detection"], "interrupt_response": False}
    talk = Talk(audio={"input": {"turn_detection": rules}})
    talk.turn("Hello.")
    talk.voice(VOICED, VOICED)
    talk.answer("Hello.")
    assert talk.core.next_deadline() is None


# Manual turns


MANUAL = {"input": {"turn_detection": None}}


def test_without_turn_detection_speech_makes_no_events() -> None:
    assert Talk(audio=MANUAL).voice(*[VOICED] * 10, *[QUIET] * 30) == []


def test_a_manual_turn_is_committed_then_answered_on_request() -> None:
    talk = Talk(audio=MANUAL)
    talk.voice(*[VOICED] * 10)
    committed = talk.send("input_audio_buffer.commit")
    assert kinds(committed) == [
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert kinds(talk.send("response.create")) == ["response.created"]
    talk.hear(committed[0]["item_id"], "Hello.")
    assert talk.respond_command().request.turns == (Said("user", "Hello."),)


def test_a_commit_of_too_little_audio_is_an_error() -> None:
    talk = Talk(audio=MANUAL)
    talk.voice(VOICED, VOICED, VOICED)
    error = error_of(talk.send("input_audio_buffer.commit", event_id="mine"))
    assert error["code"] == "input_audio_buffer_commit_empty"
    assert "96.00ms" in error["message"]
    assert error["event_id"] == "mine"


def test_a_cleared_buffer_is_empty() -> None:
    talk = Talk(audio=MANUAL)
    talk.voice(*[VOICED] * 10)
    talk.send("input_audio_buffer.clear")
    error = error_of(talk.send("input_audio_buffer.commit"))
    assert error["code"] == "input_audio_buffer_commit_empty"


def test_a_long_manual_turn_is_heard_in_pieces() -> None:
    talk = Talk(audio=MANUAL)
    talk.voice(*[VOICED] * 600)
    item_id = talk.send("input_audio_buffer.commit")[0]["item_id"]
    transcripts = talk.core.transcripts
    lengths = []
    while (piece := transcripts.pull(item_id, stage_is_idle=False)) is not None:
        lengths.append(len(piece))
        transcripts.heard(item_id, "text", piece)
    assert sum(lengths) == 600 * HOP_MS * 48
    assert max(lengths) == 8 * 48_000


def test_a_full_buffer_refuses_audio_and_stays_usable() -> None:
    talk = Talk(audio=MANUAL)
    for _ in range(5):
        talk.append(tone(60_000))
    error = error_of(talk.append(tone(10)))
    assert error["code"] == "input_audio_buffer_full"
    assert kinds(talk.send("input_audio_buffer.commit"))[0].endswith("committed")
