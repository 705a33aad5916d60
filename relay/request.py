"""What a transceiver asks for when it opens a session."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson


class SessionRequest(NamedTuple):
    """One call's wishes; the model and the session part come from its client."""

    call_id: str
    model: str | None
    session: Mapping[str, Any] | None
    tenant: str

    @classmethod
    def parse(cls, data: bytes) -> "SessionRequest":
        """Read a request.

        Raises:
            ValueError: It is not JSON of the agreed shape.
        """
        fields = orjson.loads(data)
        if not isinstance(fields, dict):
            raise ValueError("the session request is not an object")
        session = fields.get("session")
        if session is not None and not isinstance(session, dict):
            raise ValueError("the session part is not an object")
        return cls(
            call_id=_text(fields, "call_id"),
            model=_text(fields, "model") or _text(session or {}, "model") or None,
            session=session,
            tenant=_text(fields, "tenant"),
        )


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} is not text")
    return value or ""
