"""The `error` events that a session makes by itself, in the API's words."""

from proto.realtime import error_event
from relay.client.intake import Refused
from relay.upstream.port import UpstreamError


def refused(event_id: str, refusal: Refused) -> bytes:
    """Say why a client's event goes nowhere."""
    return error_event(
        event_id,
        "invalid_request_error",
        refusal.code,
        refusal.message,
        refusal.event_id,
        refusal.param,
    )


def failed(event_id: str, error: UpstreamError) -> bytes:
    """Say what became of the upstream, and what it says itself."""
    reason = f" It says: {error.close_reason}" if error.close_reason else ""
    return error_event(event_id, "server_error", error.code, error.message + reason)


def expired(event_id: str, reason: str) -> bytes:
    """Say that a session's time is up, as OpenAI says it."""
    return error_event(event_id, "invalid_request_error", "session_expired", reason)
