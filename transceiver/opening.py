"""What a session opens with: the client's wishes, and those of its client secret."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from transceiver.auth import Caller

Json = dict[str, Any]
"""A JSON object."""


class Opening(NamedTuple):
    """The configuration of a new session.

    Attributes:
        session: What it starts with; None for the defaults.
        bound: The part of it that the client cannot override; None: nothing.
    """

    session: Mapping[str, Any] | None
    bound: Mapping[str, Any] | None


def opening(caller: Caller, wished: Mapping[str, Any] | None) -> Opening:
    """Return what a caller's session opens with.

    Args:
        caller: Who asks.
        wished: The session object that the client sent with its offer, if any.
    """
    secret = caller.secret
    if secret is None:
        return Opening(wished, None)
    if secret.locked:
        return Opening(overlaid(wished or {}, secret.session), secret.session)
    return Opening(overlaid(secret.session, wished or {}), None)


def overlaid(under: Mapping[str, Any], over: Mapping[str, Any]) -> Json:
    """Return one session with another laid over it, as `session.update` merges.

    Objects merge, unless their `type` differs: what belongs to one kind of turn
    detection means nothing to the other. A list is one value, and so is null.
    """
    merged = dict(under)
    for name, value in over.items():
        before = under.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            alike = value.get("type", before.get("type")) == before.get("type")
            merged[name] = overlaid(before, value) if alike else value
        else:
            merged[name] = value
    return merged
