"""What is said in a tunnel before the Realtime events begin (PROTOCOL.md 14).

    edge: Converse, Attach     ->   relay: Admitted, then events both ways; or Refused
    edge: HangUp, Describe     ->   relay: Facts or Refused, then it closes
Each is one JSON object, sealed by `proto.channel`. A call that a tenant does not own is
refused like one that does not exist.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from proto.errors import LocalError
from proto.request import SessionRequest

PATH: Final = "/tunnel/1"
"""Of the upgrade request; the number is the version."""

SCHEME: Final = "Tandem"
"""Of its Authorization header, before the HELLO in base64."""

OPENING_S: Final = 3.0
"""Seconds within which a tunnel's first message must have come."""

DRAINING: Final = "relay_draining"
"""Code of the refusal by a relay that takes no new sessions any more."""

MAX_OPENING_BYTES: Final = 256 * 1024
"""Of a request or an answer: as much as the link's OPEN."""


class Converse(NamedTuple):
    """Hold a session for a WebSocket client."""

    request: SessionRequest

    @property
    def call_id(self) -> str:
        """The session's id."""
        return self.request.call_id


class Attach(NamedTuple):
    """Let a server take part in a live call."""

    call_id: str
    tenant: str
    speaks_beta: bool


class HangUp(NamedTuple):
    """End a live call."""

    call_id: str
    tenant: str


class Describe(NamedTuple):
    """Tell how a live call stands."""

    call_id: str
    tenant: str


TunnelRequest = Converse | Attach | HangUp | Describe


class Admitted(NamedTuple):
    """Events follow."""


class Facts(NamedTuple):
    """Done; what was asked for, if anything."""

    fields: Mapping[str, Any]


class Refused(NamedTuple):
    """No; `status` is an HTTP status from 400 to 599, `code` is for programs."""

    status: int
    code: str
    message: str


TunnelAnswer = Admitted | Facts | Refused


def encode_request(request: TunnelRequest) -> bytes:
    """Return the opening message.

    Raises:
        LocalError: It is longer than 256 KiB.
    """
    if isinstance(request, Converse):
        fields = {"request": orjson.Fragment(request.request.encode())}
    else:
        fields = request._asdict()
    return _bounded({"type": _REQUEST_NAMES[type(request)], **fields})


def decode_request(data: bytes) -> TunnelRequest:
    """Read an opening message.

    Raises:
        ValueError: It is none.
    """
    fields = _object(data)
    match fields:
        case {"type": "converse"}:
            return Converse(SessionRequest.of(fields.get("request")))
        case {"type": "attach", "call_id": str(call_id), "tenant": str(tenant)}:
            return Attach(call_id, tenant, fields.get("speaks_beta") is True)
        case {"type": "hang_up", "call_id": str(call_id), "tenant": str(tenant)}:
            return HangUp(call_id, tenant)
        case {"type": "describe", "call_id": str(call_id), "tenant": str(tenant)}:
            return Describe(call_id, tenant)
        case _:
            raise ValueError("not a request")


def encode_answer(answer: TunnelAnswer) -> bytes:
    """Return the relay's first message.

    Raises:
        LocalError: It is longer than 256 KiB.
        orjson.JSONEncodeError: The facts are no JSON.
    """
    match answer:
        case Admitted():
            return _bounded({"type": "admitted"})
        case Facts(fields):
            return _bounded({"type": "facts", "fields": dict(fields)})
        case Refused():
            return _bounded({"type": "refused", **answer._asdict()})


def decode_answer(data: bytes) -> TunnelAnswer:
    """Read a relay's first message.

    Raises:
        ValueError: It is none.
    """
    match _object(data):
        case {"type": "admitted"}:
            return Admitted()
        case {"type": "facts", "fields": dict(fields)}:
            return Facts(fields)
        case {
            "type": "refused",
            "status": int(status),
            "code": str(code),
            "message": str(message),
        } if 400 <= status <= 599:
            return Refused(status, code, message)
        case _:
            raise ValueError("not an answer")


_REQUEST_NAMES: Final[Mapping[type[TunnelRequest], str]] = {
    Converse: "converse",
    Attach: "attach",
    HangUp: "hang_up",
    Describe: "describe",
}


def _object(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_OPENING_BYTES:
        raise ValueError("too long")
    fields = orjson.loads(data)
    if not isinstance(fields, dict):
        raise ValueError("not an object")
    return fields


def _bounded(fields: Mapping[str, Any]) -> bytes:
    data = orjson.dumps(fields)
    if len(data) > MAX_OPENING_BYTES:
        raise LocalError("the request or answer is longer than a tunnel takes")
    return data
