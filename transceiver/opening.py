"""What a session opens with: the client's wishes, and those of its client secret."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from proto.overlay import overlaid
from transceiver.auth import Caller


class Opening(NamedTuple):
    """The configuration of a new session.

    Attributes:
        session: What it starts with; None for the defaults.
        bound: What holds instead wherever it says something, now and later, and the
            client cannot override; None: nothing.
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
        return Opening(wished, secret.session)
    return Opening(overlaid(secret.session, wished or {}), None)
