"""Bodies of requests, read within bounds of size and time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

import orjson
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from proto.nesting import MAX_DEPTH, is_too_deep
from transceiver.http.errors import ApiError
from transceiver.http.multipart import form_parts

_T = TypeVar("_T")

MAX_BODY_BYTES = 512 * 1024
"""Largest body taken; a browser's audio offer is about 2 KB, instructions some KB."""

MAX_OFFER_BYTES = 64 * 1024
"""Largest SDP offer taken (a browser's, with every codec, is below 16 KB)."""

MAX_SESSION_BYTES = 256 * 1024
"""Largest session part taken: what the link carries in one request."""

BODY_S = 10.0
"""Seconds a client may take to send its body."""

_BROKEN_BODY = (
    ValueError,
    ConnectionResetError,
    HttpProcessingError,
    web.RequestPayloadError,
)
"""What aiohttp raises for a body that is not what its headers say, or was cut off."""


class OfferBody(NamedTuple):
    """What opens a call: the SDP offer, and the session object sent with it."""

    offer: str
    session: dict[str, Any] | None


class _Parts(NamedTuple):
    offer: bytes
    session: bytes | None


async def read_offer(request: web.Request) -> OfferBody:
    """Read an offer sent as application/sdp, or as multipart with a session part.

    Raises:
        ApiError: The body is late, broken, too large, or not of that kind.
    """
    return _parse(await _in_time(request, _read_offer_parts))


async def read_json(request: web.Request) -> dict[str, Any]:
    """Read a JSON object; no body at all is an empty one.

    Raises:
        ApiError: The body is late, broken, too large, or not a JSON object.
    """
    body = await _in_time(request, web.Request.read)
    try:
        value = orjson.loads(body) if body.strip() else {}
    except orjson.JSONDecodeError as error:
        raise ApiError(400, "invalid_json", "the body is not JSON") from error
    if not isinstance(value, dict):
        raise ApiError(400, "invalid_type", "the body is not a JSON object")
    return value


async def _in_time(
    request: web.Request, read: Callable[[web.Request], Awaitable[_T]]
) -> _T:
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        message = "send the body as it is: no Content-Encoding is taken"
        raise ApiError(415, "unsupported_content_encoding", message)
    try:
        async with asyncio.timeout(BODY_S):
            return await read(request)
    except TimeoutError:
        raise ApiError(408, "timeout", "the body took too long to arrive") from None
    except _BROKEN_BODY as error:
        raise ApiError(400, "invalid_body", "the body cannot be read") from error


async def _read_offer_parts(request: web.Request) -> _Parts:
    if request.content_type == "application/sdp":
        return _Parts(await request.read(), None)
    if request.content_type == "multipart/form-data":
        return await _read_multipart(request)
    raise ApiError(
        415,
        "unsupported_content_type",
        "send the offer as application/sdp, or as multipart/form-data with the parts "
        "sdp and session",
    )


async def _read_multipart(request: web.Request) -> _Parts:
    body = await request.read()
    try:
        parts = form_parts(request.headers["Content-Type"], body)
    except ValueError as error:
        raise ApiError(
            400, "invalid_multipart", f"the multipart body is broken: {error}"
        ) from error
    if "sdp" not in parts:
        raise ApiError(400, "missing_sdp", "the part sdp is missing", "sdp")
    return _Parts(parts["sdp"], parts.get("session"))


def _parse(parts: _Parts) -> OfferBody:
    if not parts.offer.strip():
        raise ApiError(400, "missing_sdp", "the SDP offer is empty", "sdp")
    _check_size(parts.offer, MAX_OFFER_BYTES, "sdp")
    _check_size(parts.session or b"", MAX_SESSION_BYTES, "session")
    try:
        offer = parts.offer.decode()
        session = orjson.loads(parts.session) if parts.session else None
    except ValueError as error:
        param = "session" if isinstance(error, orjson.JSONDecodeError) else "sdp"
        raise ApiError(400, "invalid_encoding", f"{param}: {error}", param) from error
    if session is not None and not isinstance(session, dict):
        raise ApiError(
            400, "invalid_type", "the part session is not a JSON object", "session"
        )
    if session is not None and not isinstance(session.get("model", ""), str | None):
        raise ApiError(
            400, "invalid_type", "session.model is not a string", "session.model"
        )
    check_depth(session or {})
    return OfferBody(offer, session)


def check_depth(session: dict[str, Any]) -> None:
    """Refuse a session that a relay would.

    Raises:
        ApiError: It has over 64 levels.
    """
    if is_too_deep(session):
        message = f"the session is nested too deeply: at most {MAX_DEPTH} levels"
        raise ApiError(400, "invalid_type", message, "session")


def _check_size(part: bytes, limit_bytes: int, param: str) -> None:
    if len(part) > limit_bytes:
        message = f"{param} exceeds {limit_bytes} bytes"
        raise ApiError(413, "request_too_large", message, param)
