"""The web application of the public door: the page, CORS, and the shape of errors.

    OPTIONS /v1/...               CORS preflight    204
    GET     /, /page/...          the playground
Every error is `{"error": {"message", "type", "code", "param"}}`, with CORS headers
under /v1 so that a browser may read it. The other routes are handed in.
"""

import errno
import pathlib
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

import transceiver
from transceiver.admission import Full, TooMany
from transceiver.auth import Unauthorized
from transceiver.http.bodies import MAX_BODY_BYTES
from transceiver.http.errors import TRANSIENT, ApiError
from transceiver.tunnel import Refusal

PAGE = pathlib.Path(transceiver.__file__).parent / "page"

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

_REFUSALS = (
    *(ApiError, Unauthorized, TooMany, Full, Refusal),
    *(OSError, web.HTTPException),
)
"""What a route raises instead of an answer."""

_ANSWERS: dict[type[Exception], tuple[int, str]] = {
    Unauthorized: (401, "invalid_api_key"),
    TooMany: (429, "rate_limit_exceeded"),
    Full: (503, "server_overloaded"),
}
"""Status and code of those that carry none."""

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(
    routes: Iterable[web.RouteDef], count_refusal: Callable[[], None]
) -> web.Application:
    """Return the web application: the page, and the routes of whoever owns them.

    Args:
        routes: All but the page's.
        count_refusal: Called for every answer that finds no room.
    """

    async def page(_: web.Request) -> web.FileResponse:
        return web.FileResponse(PAGE / "index.html")

    @web.middleware
    async def count(request: web.Request, handler: _Handler) -> web.StreamResponse:
        response = await handler(request)
        if _is_public(request) and response.status in TRANSIENT:
            count_refusal()
        return response

    middlewares = [count, _shape_answers]
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES)
    app.add_routes(routes)
    app.add_routes([web.get("/", page), web.static("/page", PAGE)])
    return app


@web.middleware
async def _shape_answers(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answer preflights; give errors the API's shape, and answers their headers."""
    public = _is_public(request)
    if public and request.method == "OPTIONS":
        return _preflight(request)
    try:
        response = await handler(request)
    except _REFUSALS as error:
        refusal = _api_error(error, request)
        if refusal is None:
            raise
        error.__traceback__ = None  # holds this frame, which holds it and the request
        response = refusal.response()
        if isinstance(error, web.HTTPMethodNotAllowed):
            response.headers["Allow"] = error.headers["Allow"]
    if not response.prepared:  # a WebSocket's headers are sent already
        response.headers.update(_CORS if public else _PAGE_HEADERS)
    return response


def _is_public(request: web.Request) -> bool:
    return request.path.startswith("/v1/")


def _api_error(error: Exception, request: web.Request) -> ApiError | None:
    """Return the answer that an exception stands for; None for a redirect or a bug."""
    match error:
        case ApiError():
            return error
        case Unauthorized() | TooMany() | Full():
            return ApiError(*_ANSWERS[type(error)], str(error))
        case Refusal():
            return ApiError(error.status, error.code, str(error))
        case OSError(errno=errno.ENAMETOOLONG):  # of a file in the page's folder
            return _of_http(web.HTTPNotFound(), request)
        case web.HTTPException(status=status) if status >= 400:
            return _of_http(error, request)
    return None


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
