"""The Realtime API's events that either service makes by itself."""

from typing import Literal

import orjson

ErrorKind = Literal["invalid_request_error", "server_error", "rate_limit_error"]
"""Whose fault an error is: the client's, ours, or of both (too much, too fast)."""


def error_event(
    event_id: str,
    kind: ErrorKind,
    code: str | None,
    message: str,
    caused_by: str | None = None,
    param: str | None = None,
) -> bytes:
    """Make an `error` event of the API's shape.

    Args:
        event_id: Of this event.
        kind: The error's `type`.
        code: For programs; None where the API has no name for it.
        message: For people.
        caused_by: `event_id` of the client's event, if it gave one.
        param: The field that is wrong, dotted.
    """
    error = {
        "type": kind,
        "code": code,
        "message": message,
        "param": param,
        "event_id": caused_by,
    }
    return orjson.dumps({"type": "error", "event_id": event_id, "error": error})
