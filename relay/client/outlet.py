"""What goes to one client, in its words and in its size.

A beta client gets beta's names. A WebRTC client, whose audio comes by media, gets none
with the items it retrieves, as from OpenAI. What is larger than the client's transport
takes goes without the audio of its items, then without their images too (a client knows
those it sent), and if that is not enough an `error` event goes instead, so that the
client knows what it misses; it echoes no `event_id`, as an event does not say which of
the client's it answers. All else passes as the bytes it came in.
"""

from collections.abc import Sequence

import orjson

from proto.realtime import error_event
from relay.client import beta
from relay.client.within import Json, Shape, within, within_each
from relay.upstream.events import OWN_PREFIX

_RETRIEVED = b"conversation.item.retrieved"


class Outlet:
    """Shapes events for one client."""

    def __init__(
        self,
        *,
        speaks_beta: bool,
        max_event_bytes: int | None,
        has_media: bool = False,
    ) -> None:
        """Make the outlet of one client.

        Args:
            speaks_beta: The client reads beta events.
            max_event_bytes: Largest event that its transport takes; None: no bound.
            has_media: Its audio comes by media.
        """
        self._has_media = has_media
        self._speaks_beta = speaks_beta
        self._max_bytes = max_event_bytes
        self._errors = 0

    def shape(self, message: bytes) -> Sequence[bytes]:
        """Return an event as the client gets it: usually one, or none."""
        if self._has_media and _RETRIEVED in message:
            message = _without_retrieved_audio(message)
        if self._speaks_beta:
            translated = _in_beta(message)
            if translated is None:
                return ()
            message = translated
        if self._max_bytes is None or len(message) <= self._max_bytes:
            return (message,)
        return (self._shrunk(message, self._max_bytes),)

    def _shrunk(self, message: bytes, max_bytes: int) -> bytes:
        event = _object(message)
        for leave_out in (_without_audio, _without_images):
            event = _with_parts(event, leave_out)
            smaller = _written(event)
            if smaller is not None and len(smaller) <= max_bytes:
                return smaller
        return self._instead(event, len(message), max_bytes)

    def _instead(self, event: Json, event_bytes: int, max_bytes: int) -> bytes:
        self._errors += 1
        kind = event.get("type")
        name = kind[:64] if isinstance(kind, str) else "event"
        return error_event(
            f"{OWN_PREFIX}outlet_{self._errors}",
            "server_error",
            "event_too_large",
            f"A {name} of {event_bytes} bytes was not sent: "
            f"this connection takes events of at most {max_bytes} bytes.",
        )


def _without_retrieved_audio(message: bytes) -> bytes:
    event = _object(message)
    if event.get("type") != _RETRIEVED.decode():
        return message
    smaller = _with_parts(event, _without_audio)
    return message if smaller is event else _written(smaller) or message


def _in_beta(message: bytes) -> bytes | None:
    """Translate a message; as it is, if it cannot be read or written."""
    event = _object(message)
    translated = beta.server_event_to_beta(event)
    if translated is None:
        return None
    return message if translated is event else _written(translated) or message


def _object(message: bytes) -> Json:
    try:
        event = orjson.loads(message)
    except orjson.JSONDecodeError:
        return {}
    return event if isinstance(event, dict) else {}


def _written(event: Json) -> bytes | None:
    try:
        return orjson.dumps(event)
    except orjson.JSONEncodeError:  # it reads deeper nesting than it writes
        return None


def _with_parts(event: Json, shape: Shape) -> Json:
    """Shape each content part that an event carries, wherever it may."""

    def shape_item(item: Json) -> Json:
        return within_each(item, "content", shape)

    def shape_response(response: Json) -> Json:
        return within_each(response, "output", shape_item)

    event = within(event, "part", shape)
    event = within(event, "item", shape_item)
    return within(event, "response", shape_response)


def _without_audio(part: Json) -> Json:
    if "audio" not in part:
        return part
    return {key: value for key, value in part.items() if key != "audio"}


def _without_images(part: Json) -> Json:
    url = part.get("image_url")
    is_inside = isinstance(url, str) and url.startswith("data:")
    return {k: v for k, v in part.items() if k != "image_url"} if is_inside else part
