"""The public HTTP surface: calls, the page, status; errors in the API's own shape.

    POST    /v1/realtime/calls    an SDP offer, raw or multipart   201, SDP answer
    OPTIONS /v1/...               CORS preflight                   204
    GET     /, /page/...          the playground
    GET     /healthz /readyz /metrics
Every error is `{"error": {"message", "type", "code", "param"}}`, with CORS headers
under /v1 so that a browser may read it.
"""

import asyncio
import errno
import pathlib
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import orjson
from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from proto.errors import LocalError
from transceiver.auth import KeyRing
from transceiver.call import CallRequest
from transceiver.calls import Calls, Full
from transceiver.webrtc.offer import OfferError

CALLS_PATH = "/v1/realtime/calls"

MAX_BODY_BYTES = 512 * 1024
"""Largest body taken; a browser's audio offer is about 2 KB, instructions some KB."""

MAX_OFFER_BYTES = 64 * 1024
"""Largest SDP offer taken (a browser's, with every codec, is below 16 KB)."""

MAX_SESSION_BYTES = 256 * 1024
"""Largest session part taken: what the link carries in one request."""

BODY_S = 10.0
"""Seconds a client may take to send its body."""

RETRY_AFTER_S = 2
"""Seconds told to a client that finds no room."""

PAGE = pathlib.Path(__file__).parent / "page"

_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Location",
}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Max-Age": "600",
}
_PAGE_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'self'; connect-src 'self'; media-src 'self' blob: mediastream:; "
        "img-src 'self' data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Permissions-Policy": "microphone=(self)",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_ERROR_TYPES = {401: "authentication_error", 503: "server_error", 500: "server_error"}

_BROKEN_BODY = (
    ValueError,
    ConnectionResetError,
    HttpProcessingError,
    web.RequestPayloadError,
)
"""What aiohttp raises for a body that is not what its headers say, or was cut off."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ApiError(Exception):
    """An answer other than success.

    Attributes:
        status: HTTP status.
        code: Stable name for programs.
        message: For people.
        param: Which part of the request is at fault.
    """

    def __init__(
        self, status: int, code: str, message: str, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param

    def response(self) -> web.Response:
        """Return the error as JSON."""
        response = web.json_response(
            {
                "error": {
                    "message": self.message,
                    "type": _ERROR_TYPES.get(self.status, "invalid_request_error"),
                    "code": self.code,
                    "param": self.param,
                }
            },
            status=self.status,
        )
        if self.status == 503:
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return response


class _Body(NamedTuple):
    offer: bytes
    session: bytes | None


def application(
    calls: Calls, keys: KeyRing, status_routes: list[web.RouteDef]
) -> web.Application:
    """Return the web application of the public door."""

    async def create_call(request: web.Request) -> web.Response:
        tenant = keys.tenant(request.headers.get("Authorization"))
        if tenant is None:
            raise ApiError(401, "invalid_api_key", "the API key is missing or wrong")
        try:
            async with asyncio.timeout(BODY_S):
                body = await _read_body(request)
        except TimeoutError:
            raise ApiError(408, "timeout", "the body took too long to arrive") from None
        except _BROKEN_BODY as error:
            raise ApiError(400, "invalid_body", "the body cannot be read") from error
        try:
            call_id, answer = await calls.open(_call_request(body, tenant))
        except OfferError as error:
            raise ApiError(400, "invalid_offer", str(error), "sdp") from error
        except Full as error:
            raise ApiError(503, "server_overloaded", str(error)) from error
        except orjson.JSONEncodeError as error:  # it reads deeper than it writes
            message = "the part session is nested too deeply"
            raise ApiError(400, "invalid_type", message, "session") from error
        except LocalError as error:
            message = "the part session is larger than a relay takes"
            raise ApiError(413, "request_too_large", message, "session") from error
        return web.Response(
            status=201,
            text=answer,
            content_type="application/sdp",
            headers={"Location": f"{CALLS_PATH}/{call_id}"},
        )

    async def page(_: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGE / "index.html")

    app = web.Application(middlewares=[_shape_answers], client_max_size=MAX_BODY_BYTES)
    app.add_routes(status_routes)
    app.add_routes(
        [
            web.post(CALLS_PATH, create_call),
            web.get("/", page),
            web.static("/page", PAGE),
        ]
    )
    return app


@web.middleware
async def _shape_answers(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answer preflights; give errors the API's shape, and answers their headers."""
    public = request.path.startswith("/v1/")
    try:
        if public and request.method == "OPTIONS":
            return _preflight(request)
        response = await handler(request)
    except ApiError as error:
        response = error.response()
    except OSError as error:  # of a file in the page's folder
        if error.errno != errno.ENAMETOOLONG:
            raise
        response = _of_http(web.HTTPNotFound(), request).response()
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = _of_http(error, request).response()
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
    response.headers.update(_CORS if public else _PAGE_HEADERS)
    return response


def _preflight(request: web.Request) -> web.Response:
    asked = request.headers.get("Access-Control-Request-Headers", "Authorization")
    allowed = {
        "Access-Control-Allow-Headers": asked,
        "Vary": "Access-Control-Request-Headers",
    }
    return web.Response(status=204, headers=_CORS | _PREFLIGHT | allowed)


def _of_http(error: web.HTTPException, request: web.Request) -> ApiError:
    if error.status == 404:
        return ApiError(404, "unknown_url", f"unknown path {request.path}")
    if error.status == 405:
        return ApiError(
            405, "method_not_supported", f"{request.method} is not supported here"
        )
    if error.status == 413:
        return ApiError(
            413, "request_too_large", f"the body exceeds {MAX_BODY_BYTES} bytes"
        )
    return ApiError(error.status, "bad_request", error.reason)


async def _read_body(request: web.Request) -> _Body:
    if request.content_type == "application/sdp":
        return _Body(await request.read(), None)
    if request.content_type == "multipart/form-data":
        return await _read_parts(request)
    raise ApiError(
        415,
        "unsupported_content_type",
        "send the offer as application/sdp, or as multipart/form-data with the parts "
        "sdp and session",
    )


async def _read_parts(request: web.Request) -> _Body:
    limits = {"sdp": MAX_OFFER_BYTES, "session": MAX_SESSION_BYTES}
    parts: dict[str, bytes] = {}
    try:
        reader = await request.multipart()
        async for part in reader:
            name = part.name if isinstance(part, BodyPartReader) else None
            if isinstance(part, BodyPartReader) and name in limits:
                parts[name] = await _read_part(part, limits[name])
    except (ValueError, HttpProcessingError) as error:
        raise ApiError(
            400, "invalid_multipart", f"the multipart body is broken: {error}"
        ) from error
    if "sdp" not in parts:
        raise ApiError(400, "missing_sdp", "the part sdp is missing", "sdp")
    return _Body(parts["sdp"], parts.get("session"))


async def _read_part(part: BodyPartReader, limit_bytes: int) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk():
        data += chunk
        if len(data) > limit_bytes:
            raise ApiError(
                413,
                "request_too_large",
                f"the part {part.name} exceeds {limit_bytes} bytes",
                part.name,
            )
    return bytes(data)


def _call_request(body: _Body, tenant: str) -> CallRequest:
    if not body.offer.strip():
        raise ApiError(400, "missing_sdp", "the SDP offer is empty", "sdp")
    if len(body.offer) > MAX_OFFER_BYTES:
        raise ApiError(
            413,
            "request_too_large",
            f"the offer exceeds {MAX_OFFER_BYTES} bytes",
            "sdp",
        )
    try:
        offer = body.offer.decode()
        session = orjson.loads(body.session) if body.session else None
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
    return CallRequest(offer, session, tenant)
