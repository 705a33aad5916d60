"""The 11 client events of the Realtime API, checked on their way in."""

from typing import Any

import orjson

from relay.engine.errors import ClientError
from relay.engine.schema import (
    Check,
    anything,
    array,
    integer,
    media,
    name,
    nullable,
    number,
    one_of,
    record,
    text,
    unsupported,
    variant,
)  # fmt: skip
from relay.engine.session_schema import (
    FORMAT,
    MAX_OUTPUT_TOKENS,
    MODALITIES,
    TOOL_CHOICE,
    TOOLS,
    VOICE,
)

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""One client event as JSON: room for the API's largest append (15 MiB is its own
limit for decoded audio) in pieces, and for an image."""

MAX_PARTS = 64
"""Content parts in one item."""

MAX_INPUT_ITEMS = 256
"""Items in the `input` of one response.create."""

_USER_PART = variant(
    "type",
    {
        "input_text": record({"type": name, "text": text}, "text", is_open=True),
        "input_audio": record(
            {"type": name, "audio": nullable(media), "transcript": nullable(text)},
            is_open=True,
        ),
        "input_image": record(
            {
                "type": name,
                "image_url": media,
                "detail": nullable(one_of("auto", "low", "high")),
            },
            "image_url",
            is_open=True,
        ),
    },
)
_SYSTEM_PART = variant(
    "type", {"input_text": record({"type": name, "text": text}, "text", is_open=True)}
)
_ASSISTANT_PART = variant(
    "type",
    {
        "output_text": record({"type": name, "text": text}, "text", is_open=True),
        "output_audio": record(
            {"type": name, "transcript": nullable(text), "audio": nullable(media)},
            is_open=True,
        ),
    },
)
_ITEM_FIELDS: dict[str, Check] = {
    "id": nullable(name),
    "type": name,
    "object": nullable(one_of("realtime.item")),
    "status": nullable(one_of("completed", "incomplete", "in_progress")),
}


def _message(part: Check) -> Check:
    return record(
        {**_ITEM_FIELDS, "role": name, "content": array(part, MAX_PARTS)}, "content"
    )


ITEM = variant(
    "type",
    {
        "message": variant(
            "role",
            {
                "user": _message(_USER_PART),
                "assistant": _message(_ASSISTANT_PART),
                "system": _message(_SYSTEM_PART),
            },
        ),
        "function_call": record(
            {
                **_ITEM_FIELDS,
                "call_id": nullable(name),
                "name": name,
                "arguments": text,
            },
            "name",
            "arguments",
        ),
        "function_call_output": record(
            {**_ITEM_FIELDS, "call_id": name, "output": text}, "call_id", "output"
        ),
    },
)


def _input_item(value: Any, path: str) -> Any:
    if isinstance(value, dict) and value.get("type") == "item_reference":
        return record({"type": name, "id": name}, "id")(value, path)
    return ITEM(value, path)


_METADATA = record({}, is_open=True)


def _metadata(value: Any, path: str) -> Any:
    _METADATA(value, path)
    for key, entry in value.items():
        text(entry, f"{path}.{key}")
    return value


_RESPONSE = record(
    {
        "conversation": nullable(one_of("auto", "none")),
        "input": nullable(array(_input_item, MAX_INPUT_ITEMS)),
        "instructions": nullable(text),
        "max_output_tokens": nullable(MAX_OUTPUT_TOKENS),
        "metadata": nullable(_metadata),
        "output_modalities": nullable(MODALITIES),
        "parallel_tool_calls": anything,
        "prompt": anything,
        "reasoning": anything,
        "tool_choice": nullable(TOOL_CHOICE),
        "tools": nullable(TOOLS),
        "audio": nullable(
            record(
                {
                    "output": nullable(
                        record(
                            {
                                "format": nullable(FORMAT),
                                "voice": nullable(VOICE),
                                "speed": nullable(number(0.25, 1.5)),
                            }
                        )
                    )
                }
            )
        ),
    }
)

_EVENTS: dict[str, tuple[dict[str, Check], tuple[str, ...]]] = {
    "session.update": ({"session": anything}, ("session",)),
    "input_audio_buffer.append": ({"audio": media}, ("audio",)),
    "input_audio_buffer.commit": ({}, ()),
    "input_audio_buffer.clear": ({}, ()),
    "output_audio_buffer.clear": ({}, ()),
    "conversation.item.create": (
        {"item": ITEM, "previous_item_id": nullable(name)},
        ("item",),
    ),
    "conversation.item.delete": ({"item_id": name}, ("item_id",)),
    "conversation.item.retrieve": ({"item_id": name}, ("item_id",)),
    "conversation.item.truncate": (
        {
            "item_id": name,
            "content_index": integer(0, MAX_PARTS),
            "audio_end_ms": integer(0, 2**31),
        },
        ("item_id", "content_index", "audio_end_ms"),
    ),
    "response.create": ({"response": nullable(_RESPONSE)}, ()),
    "response.cancel": ({"response_id": nullable(name)}, ()),
}
_CHECKS = {
    kind: record({**fields, "type": name}, *required, is_open=True)
    for kind, (fields, required) in _EVENTS.items()
}


def decode(message: str | bytes) -> dict[str, Any]:
    """Return the JSON object of a message.

    Raises:
        ClientError: Too large, not JSON, or not an object.
    """
    if len(message) > MAX_EVENT_BYTES:
        raise ClientError(
            "event_too_large", f"An event may have at most {MAX_EVENT_BYTES} bytes."
        )
    try:
        event = orjson.loads(message)
    except orjson.JSONDecodeError:
        raise ClientError("invalid_json", "The message is not valid JSON.") from None
    if not isinstance(event, dict):
        raise ClientError("invalid_type", "An event must be a JSON object.")
    return event


def event_id_of(event: dict[str, Any]) -> str | None:
    """Return the client's own id of an event, for the error that answers it."""
    found = event.get("event_id")
    return found[:512] if isinstance(found, str) else None


def checked(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event with its known fields, all of the right type.

    Raises:
        ClientError: An unknown type, a missing field or an unusable one.
    """
    kind = event.get("type")
    if kind is None:
        raise ClientError(
            "missing_required_parameter", "Missing required parameter: 'type'.", "type"
        )
    if not isinstance(kind, str) or kind not in _CHECKS:
        raise unsupported(str(kind), "type", tuple(_CHECKS))
    result: dict[str, Any] = _CHECKS[kind](event, "")
    return result
