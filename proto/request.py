"""What a transceiver asks a relay for: a session. Link and tunnel both carry it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson

from proto.nesting import is_too_deep


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequest:
    """One caller's wishes.

    Attributes:
        call_id: `rtc_...` of a WebRTC call, `sess_...` of a WebSocket session.
        tenant: Whose key was presented: a short digest of it.
        model: The one to use: that of `bound`, else the one given here, else that of
            `session`; None leaves it to the relay.
        session: Opening session object, of the GA or the beta shape.
        bound: One that the client cannot override, and that holds where the two differ;
            None: nothing.
        speaks_beta: The client sent `OpenAI-Beta: realtime=v1`.
        max_event_bytes: Largest event that the client's transport takes; None: any.
        traceparent: What makes the relay's spans part of the call's trace (W3C Trace
            Context); None, or one that is not valid: they make a trace of their own.

    Raises:
        ValueError: The session's model is not text.
    """

    call_id: str
    tenant: str
    model: str | None = None
    session: Mapping[str, Any] | None = None
    bound: Mapping[str, Any] | None = None
    speaks_beta: bool = False
    max_event_bytes: int | None = None
    traceparent: str | None = None

    def __post_init__(self) -> None:
        model = _model(self.bound) or self.model or _model(self.session)
        object.__setattr__(self, "model", model)

    def encode(self) -> bytes:
        """Return the request as JSON; its sessions came from JSON of bounded depth."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        if self.traceparent is None:
            del fields["traceparent"]
        return orjson.dumps(fields)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a request; fields that are not known here are left out.

        Raises:
            ValueError: It is not JSON of the agreed shape.
        """
        return cls.of(orjson.loads(data))

    @classmethod
    def of(cls, fields: object) -> Self:
        """Read a request that has been taken out of its JSON.

        Raises:
            ValueError: It has not the agreed shape.
        """
        if not isinstance(fields, dict):
            raise ValueError("the session request is not an object")
        largest = fields.get("max_event_bytes")
        if largest is not None and (type(largest) is not int or largest < 1):
            raise ValueError("max_event_bytes is not a whole number above zero")
        return cls(
            call_id=_needed(fields, "call_id"),
            tenant=_needed(fields, "tenant"),
            model=_text(fields, "model"),
            session=_object(fields, "session"),
            bound=_object(fields, "bound"),
            speaks_beta=fields.get("speaks_beta") is True,
            max_event_bytes=largest,
            traceparent=_text(fields, "traceparent"),
        )


def _model(session: Mapping[str, Any] | None) -> str | None:
    return _text(session or {}, "model")


def _needed(fields: Mapping[str, Any], name: str) -> str:
    text = _text(fields, name)
    if text is None:
        raise ValueError(f"{name} is missing")
    return text


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is not text")
    return value or None


def _object(fields: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    value = fields.get(name)
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{name} is not an object")
    if value is not None and is_too_deep(value):
        raise ValueError(f"{name} is nested too deeply")
    return value
