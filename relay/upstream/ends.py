"""What it means that a connection did not come about, or ended: in words. Pure."""

import re
from typing import Final

from relay.upstream.port import UpstreamError, UpstreamLost, UpstreamRefused

_REFUSALS: Final = {
    401: ("upstream_unauthorized", "The Realtime API refused the relay's key"),
    403: ("upstream_forbidden", "The Realtime API does not permit this to the relay"),
    404: ("upstream_not_found", "The Realtime API has no such address or model"),
    429: ("upstream_rate_limited", "The Realtime API takes no more sessions now"),
}

_BUSY: Final = frozenset({429, 503})
"""HTTP statuses of a service that takes no more sessions now."""

_TRY_AGAIN_LATER: Final = 1013
"""Close code (IANA registry) for a client whose upstream takes no more sessions now."""

_OWN_CLOSES: Final = range(3000, 5000)
"""Close codes that mean what the service says they mean (RFC 6455 section 7.4.2)."""

_REFUSED_BY_CLOSING: Final = 3000
_WRONG_KEY: Final = "invalid_request_error.invalid_api_key"
"""How OpenAI closes a session whose key it finds wrong after the handshake."""

_STATUS: Final = re.compile(rb"HTTP/\d\.\d (\d{3})")
_RETRY_AFTER: Final = re.compile(rb"\nRetry-After: *([ -~]{1,16})", re.IGNORECASE)
"""In the head of an answer (RFC 9110)."""


def unanswered() -> UpstreamRefused:
    """Nothing came in time."""
    return UpstreamRefused("upstream_unavailable", "The Realtime API does not answer.")


def unknown() -> UpstreamRefused:
    """Its name leads nowhere, or nobody could say where."""
    return UpstreamRefused(
        "upstream_unavailable", "The Realtime API's name cannot be looked up."
    )


def unreachable() -> UpstreamRefused:
    """There is no way there, or nobody, or somebody else."""
    return UpstreamRefused(
        "upstream_unavailable", "The Realtime API cannot be reached."
    )


def refused(head: bytes) -> UpstreamRefused:
    """The answer was no WebSocket's; `head` is its status line and headers."""
    match = _STATUS.match(head)
    status = int(match[1]) if match else 0
    code, text = _REFUSALS.get(
        status, ("upstream_unavailable", "The Realtime API cannot serve")
    )
    text += f" (HTTP {status})." if status else "."
    if after := _RETRY_AFTER.search(head):
        text += f" Retry after {after[1].decode()} s."
    refusal = UpstreamRefused(code, text)
    if status in _BUSY:
        refusal.close_code = _TRY_AGAIN_LATER
    return refusal


def lost() -> UpstreamLost:
    """It ended without a word."""
    return UpstreamLost("upstream_lost", "The connection to the Realtime API broke.")


def silent() -> UpstreamLost:
    """Nothing came any more."""
    return UpstreamLost("upstream_lost", "The Realtime API stopped answering.")


def stalled() -> UpstreamLost:
    """It read too slowly."""
    return UpstreamLost("upstream_stalled", "The Realtime API does not keep up.")


def broken() -> UpstreamLost:
    """What came is not RFC 6455."""
    return UpstreamLost("upstream_protocol", "The Realtime API broke WebSocket.")


def binary() -> UpstreamLost:
    """A message was not text."""
    return UpstreamLost("upstream_protocol", "The Realtime API sent a binary message.")


def too_large(max_bytes: int) -> UpstreamLost:
    """A message had more bytes than that."""
    return UpstreamLost(
        "upstream_message_too_large",
        f"The Realtime API sent a message of over {max_bytes} bytes.",
    )


def closed(code: int, reason: str) -> UpstreamError:
    """The service took its leave."""
    if code == _REFUSED_BY_CLOSING and reason == _WRONG_KEY:
        _, text = _REFUSALS[401]
        return UpstreamRefused("upstream_unauthorized", f"{text} (close code {code}).")
    end = UpstreamLost(
        "upstream_lost", f"The Realtime API closed the session ({code})."
    )
    end.close_reason = reason or None
    if code in _OWN_CLOSES:
        end.close_code = code
    return end
