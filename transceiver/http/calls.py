"""Calls over HTTP: a WebRTC offer in, an answer out; then control by the call's id.

    POST /v1/realtime/calls               an SDP offer, raw or multipart   201, answer
    GET  /v1/realtime/calls/{id}                                           200, JSON
    POST /v1/realtime/calls/{id}/hangup                                    200
Control takes an API key, and any edge of the cluster can do it: the relays are asked
about calls that are not its own.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from aiohttp import web

from proto.errors import LocalError
from transceiver.auth import KeyRing
from transceiver.call import CallRequest
from transceiver.http.bodies import read_offer
from transceiver.http.callers import (
    caller_of,
    key_holder_of,
    speaks_beta,
    traceparent_of,
)
from transceiver.http.errors import ApiError
from transceiver.opening import opening
from transceiver.webrtc.offer import OfferError

CALLS_PATH = "/v1/realtime/calls"


class Opens(Protocol):
    """What opens calls."""

    async def open(self, request: CallRequest) -> tuple[str, str]:
        """Return a new call's id and the SDP answer; see `Calls.open`."""


class CallControl(Protocol):
    """What reaches a live call wherever it is held.

    See `transceiver.control`, which says what both raise.
    """

    async def hang_up(self, call_id: str, tenant: str) -> None:
        """End a call of a tenant."""

    async def describe(self, call_id: str, tenant: str) -> Mapping[str, Any]:
        """Return how a call of a tenant stands."""


def call_routes(
    calls: Opens, keys: KeyRing, control: CallControl
) -> list[web.RouteDef]:
    """Return the routes of calls."""

    async def create(request: web.Request) -> web.Response:
        caller = caller_of(request, keys)
        body = await read_offer(request)
        wanted = CallRequest(
            body.offer,
            caller.tenant,
            opening(caller, body.session),
            speaks_beta=speaks_beta(request),
            traceparent=traceparent_of(request),
        )
        call_id, answer = await _opened(calls, wanted)
        return web.Response(
            status=201,
            text=answer,
            content_type="application/sdp",
            headers={"Location": f"{CALLS_PATH}/{call_id}"},
        )

    async def describe(request: web.Request) -> web.Response:
        tenant = key_holder_of(request, keys).tenant
        facts = await control.describe(request.match_info["call_id"], tenant)
        return web.json_response(dict(facts), headers={"Cache-Control": "no-store"})

    async def hang_up(request: web.Request) -> web.Response:
        tenant = key_holder_of(request, keys).tenant
        await control.hang_up(request.match_info["call_id"], tenant)
        return web.Response()

    return [
        web.post(CALLS_PATH, create),
        web.get(f"{CALLS_PATH}/{{call_id}}", describe, allow_head=False),
        web.post(f"{CALLS_PATH}/{{call_id}}/hangup", hang_up),
    ]


async def _opened(calls: Opens, wanted: CallRequest) -> tuple[str, str]:
    try:
        return await calls.open(wanted)
    except OfferError as error:
        raise ApiError(400, "invalid_offer", str(error), "sdp") from error
    except LocalError as error:
        message = "the part session is larger than a relay takes"
        raise ApiError(413, "request_too_large", message, "session") from error
