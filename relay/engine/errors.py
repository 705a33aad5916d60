"""What can go wrong in the engine, and whose fault it is.

EngineError
├── ClientError   the client's event cannot be obeyed: answered with an `error`
│                 event; the session stays open and unchanged
└── StageError    a model or the chat endpoint failed: ends one response or one
                  transcription, never the session
"""

from typing import Any


class EngineError(Exception):
    """Anything the engine raises on purpose."""


class ClientError(EngineError):
    """An event that cannot be obeyed, as the Realtime API words it."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param

    def body(self, client_event_id: str | None) -> dict[str, Any]:
        """Return the `error` field of an `error` event."""
        return {
            "type": "invalid_request_error",
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "event_id": client_event_id,
        }


class StageError(EngineError):
    """A stage could not do its work; `code` is what the client is told."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def body(self) -> dict[str, Any]:
        """Return the error object of a failed response or transcription."""
        return {"type": "server_error", "code": self.code, "message": self.message}
