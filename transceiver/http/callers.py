"""Who sends a request, and what a client secret may not do."""

from aiohttp import web
from yarl import URL

from runtime.traces import traceparent
from transceiver.auth import OPEN_TENANT, Caller, KeyRing, bearer
from transceiver.http.errors import ApiError
from transceiver.settings import is_loopback


def caller_of(request: web.Request, keys: KeyRing) -> Caller:
    """Return who sent a request, by the key in its header.

    Raises:
        Unauthorized: Nobody that we know.
        ApiError: 403, as of `identified`.
    """
    return identified(request, keys, bearer(request.headers.get("Authorization")))


def identified(request: web.Request, keys: KeyRing, key: str | None) -> Caller:
    """Return who sent a request with a key.

    Where no key is needed, because only this machine can call, a page from elsewhere
    that is open in a browser here could, too: its browser tells by `Origin`. One whose
    name was made to lead here (DNS rebinding) is told by `Host`.

    Raises:
        Unauthorized: Nobody that we know.
        ApiError: 403, a page from elsewhere, and no keys are configured.
    """
    caller = keys.identify(key)
    if caller.tenant == OPEN_TENANT and caller.secret is None:
        _check_is_of_this_machine(request)
    return caller


def _check_is_of_this_machine(request: web.Request) -> None:
    origin, host = request.headers.get("Origin"), request.headers.get("Host")
    if origin is not None and not _is_of_this_machine(origin):
        raise ApiError(
            403,
            "origin_not_allowed",
            "without API keys only pages of localhost may call",
        )
    if host is not None and not _is_of_this_machine(f"http://{host}"):
        raise ApiError(
            403,
            "host_not_allowed",
            "without API keys only localhost may be called",
        )


def _is_of_this_machine(origin: str) -> bool:
    try:
        return is_loopback(URL(origin).host or "")
    except ValueError:
        return False


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


def traceparent_of(request: web.Request) -> str | None:
    """Return the trace that a client has begun, if it tells of one."""
    return traceparent(request.headers.getall("traceparent", ()))


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
