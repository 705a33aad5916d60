"""Client secrets over HTTP: a server mints a short-lived key for its own client.

    POST /v1/realtime/client_secrets    JSON: expires_after?, session?, locked?    200

`locked` is ours: the client cannot override what the session sets. A field that is none
of these is refused: a misspelt one would give a secret that is not what was meant.
"""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from transceiver.auth import KeyRing
from transceiver.client_secrets import ClientSecret, ClientSecrets, TooLong
from transceiver.http.bodies import check_depth, read_json
from transceiver.http.callers import key_holder_of
from transceiver.http.errors import ApiError

CLIENT_SECRETS_PATH = "/v1/realtime/client_secrets"

DEFAULT_EXPIRY_S = 600
"""Life of a secret in seconds unless asked otherwise (OpenAI's API reference)."""

MIN_EXPIRY_S, MAX_EXPIRY_S = 10, 7_200
"""Bounds of it (OpenAI's API reference)."""

_FIELDS = frozenset({"expires_after", "session", "locked"})

_OBJECTS = {
    "realtime": "realtime.session",
    "transcription": "realtime.transcription_session",
}
"""What the API calls each type of session in its answers."""


def client_secret_routes(
    keys: KeyRing, client_secrets: ClientSecrets, wall_s: Callable[[], float]
) -> list[web.RouteDef]:
    """Return the route that mints; `wall_s` tells Unix time."""

    async def create(request: web.Request) -> web.Response:
        caller = key_holder_of(request, keys)
        body = await read_json(request)
        _check_fields(body)
        secret = ClientSecret(
            tenant=caller.tenant,
            expires_at_s=int(wall_s()) + _expiry_s(body),
            session=_session(body),
            locked=_locked(body),
        )
        return web.json_response(
            {
                "value": _mint(client_secrets, secret),
                "expires_at": secret.expires_at_s,
                "session": _shown(secret.session),
                **({"locked": True} if secret.locked else {}),
            },
            headers={"Cache-Control": "no-store"},
        )

    return [web.post(CLIENT_SECRETS_PATH, create)]


def _check_fields(body: Mapping[str, Any]) -> None:
    for name in body:
        if name not in _FIELDS:
            message = f"unknown parameter: {name}"
            raise ApiError(400, "unknown_parameter", message, name)


def _mint(client_secrets: ClientSecrets, secret: ClientSecret) -> str:
    try:
        return client_secrets.mint(secret)
    except TooLong:
        message = "the session is too large for a client secret; shorten its prompts"
        raise ApiError(400, "session_too_large", message, "session") from None


def _expiry_s(body: Mapping[str, Any]) -> int:
    after = body.get("expires_after")
    if after is None:
        return DEFAULT_EXPIRY_S
    if not isinstance(after, dict):
        raise _wrong_type("expires_after", "an object")
    if after.get("anchor", "created_at") != "created_at":
        message = "the anchor can only be created_at"
        raise ApiError(400, "invalid_value", message, "expires_after.anchor")
    seconds = after.get("seconds", DEFAULT_EXPIRY_S)
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise _wrong_type("expires_after.seconds", "a whole number")
    if not MIN_EXPIRY_S <= seconds <= MAX_EXPIRY_S:
        message = f"seconds must be from {MIN_EXPIRY_S} to {MAX_EXPIRY_S}"
        raise ApiError(400, "invalid_value", message, "expires_after.seconds")
    return seconds


def _session(body: Mapping[str, Any]) -> dict[str, Any]:
    session = body.get("session")
    if session is None:
        session = {}
    if not isinstance(session, dict):
        raise _wrong_type("session", "an object")
    if not isinstance(session.get("model"), str | None):
        raise _wrong_type("session.model", "a string")
    kind = session.setdefault("type", "realtime")
    if not isinstance(kind, str) or kind not in _OBJECTS:
        message = "the type can be realtime or transcription"
        raise ApiError(400, "invalid_value", message, "session.type")
    check_depth(session)
    return session


def _locked(body: Mapping[str, Any]) -> bool:
    locked = body.get("locked", False)
    if not isinstance(locked, bool):
        raise _wrong_type("locked", "true or false")
    return locked


def _wrong_type(param: str, wanted: str) -> ApiError:
    return ApiError(400, "invalid_type", f"{param} is not {wanted}", param)


def _shown(session: Mapping[str, Any]) -> dict[str, Any]:
    """Return the session as the API shows one; what it leaves open is left out."""
    return {
        **session,
        "id": f"sess_{secrets.token_urlsafe(16)}",
        "object": _OBJECTS[session["type"]],
    }
