"""Server events as the tests need them, in the shapes of the Realtime API."""

from typing import Any

Event = dict[str, Any]


def speech_started(item: str) -> Event:
    """The caller began to speak."""
    return {
        "type": "input_audio_buffer.speech_started",
        "item_id": item,
        "audio_start_ms": 0,
    }


def speech_stopped(item: str) -> Event:
    """The caller ended."""
    return {
        "type": "input_audio_buffer.speech_stopped",
        "item_id": item,
        "audio_end_ms": 0,
    }


def committed(item: str, previous: str | None = None) -> Event:
    """The caller's turn became an item."""
    return {
        "type": "input_audio_buffer.committed",
        "item_id": item,
        "previous_item_id": previous,
    }


def transcribing(item: str, delta: str) -> Event:
    """Part of what the caller said."""
    return {
        "type": "conversation.item.input_audio_transcription.delta",
        "item_id": item,
        "content_index": 0,
        "delta": delta,
    }


def transcribed(item: str, transcript: str) -> Event:
    """All of what the caller said."""
    return {
        "type": "conversation.item.input_audio_transcription.completed",
        "item_id": item,
        "content_index": 0,
        "transcript": transcript,
        "usage": {},
    }


def said(item: str, transcript: str, previous: str | None = None) -> list[Event]:
    """A whole turn of the caller."""
    return [
        speech_started(item),
        speech_stopped(item),
        committed(item, previous),
        transcribed(item, transcript),
    ]


def response_began(response: str, item: str) -> list[Event]:
    """The agent began to answer, and is being played."""
    message = {"id": item, "type": "message", "role": "assistant", "content": []}
    return [
        {"type": "response.created", "response": {"id": response}},
        {
            "type": "response.output_item.added",
            "response_id": response,
            "output_index": 0,
            "item": message,
        },
        {"type": "output_audio_buffer.started", "response_id": response},
    ]


def replying(item: str, delta: str) -> Event:
    """Part of the agent's words."""
    return {
        "type": "response.output_audio_transcript.delta",
        "item_id": item,
        "content_index": 0,
        "delta": delta,
    }


def replied(item: str, transcript: str) -> Event:
    """All of the agent's words."""
    return {
        "type": "response.output_audio_transcript.done",
        "item_id": item,
        "content_index": 0,
        "transcript": transcript,
    }


def response_done(
    response: str, status: str = "completed", error: str | None = None
) -> Event:
    """The response is generated, or was cancelled, or failed."""
    details = None if error is None else {"type": status, "error": {"message": error}}
    done = {"id": response, "status": status, "status_details": details}
    return {"type": "response.done", "response": done}


def played(response: str) -> Event:
    """The agent was heard to the end."""
    return {"type": "output_audio_buffer.stopped", "response_id": response}


def cleared(response: str) -> Event:
    """What was left to play was thrown away."""
    return {"type": "output_audio_buffer.cleared", "response_id": response}


def truncated(item: str, heard_ms: int) -> Event:
    """The agent's item ends where the caller stopped hearing it."""
    return {
        "type": "conversation.item.truncated",
        "item_id": item,
        "content_index": 0,
        "audio_end_ms": heard_ms,
    }
