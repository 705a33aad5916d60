"""Who sends a request, and what a client secret may not do."""

from aiohttp import web

from transceiver.auth import Caller, KeyRing, bearer
from transceiver.http.errors import ApiError


def caller_of(request: web.Request, keys: KeyRing) -> Caller:
    """Return who sent a request.

    Raises:
        Unauthorized: Nobody that we know.
    """
    return keys.identify(bearer(request.headers.get("Authorization")))


def key_holder_of(request: web.Request, keys: KeyRing) -> Caller:
    """Return who sent a request that takes an API key.

    Raises:
        Unauthorized: Nobody that we know.
        ApiError: 403, the holder of a client secret.
    """
    return with_api_key(caller_of(request, keys))


def speaks_beta(request: web.Request) -> bool:
    """Tell whether a client asked for the beta's names (`OpenAI-Beta: realtime=v1`)."""
    asked = request.headers.get("OpenAI-Beta", "")
    return "realtime=v1" in (one.strip() for one in asked.split(","))


def with_api_key(caller: Caller) -> Caller:
    """Return a caller who holds an API key.

    Raises:
        ApiError: 403, it holds a client secret.
    """
    if caller.secret is not None:
        raise ApiError(
            403, "insufficient_permissions", "a client secret may not do this"
        )
    return caller
