"""Errors in the API's own shape: `{"error": {"message", "type", "code", "param"}}`."""

from aiohttp import web

RETRY_AFTER_S = 2
"""Seconds told to a client that finds no room."""

_TYPES = {
    401: "authentication_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}
TRANSIENT = frozenset({429, 503})
"""Statuses that say: no room now, try again."""


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
                    "type": _TYPES.get(self.status, "invalid_request_error"),
                    "code": self.code,
                    "param": self.param,
                }
            },
            status=self.status,
        )
        if self.status in TRANSIENT:
            response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return response
