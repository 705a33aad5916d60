"""Calls over HTTP: a WebRTC offer in, an answer out.

POST /v1/realtime/calls    an SDP offer, raw or multipart    201, SDP answer
"""

import orjson
from aiohttp import web

from proto.errors import LocalError
from transceiver.auth import KeyRing
from transceiver.call import CallRequest
from transceiver.calls import Calls
from transceiver.http.bodies import read_offer
from transceiver.http.callers import caller_of, speaks_beta
from transceiver.http.errors import ApiError
from transceiver.opening import opening
from transceiver.webrtc.offer import OfferError

CALLS_PATH = "/v1/realtime/calls"


def call_routes(calls: Calls, keys: KeyRing) -> list[web.RouteDef]:
    """Return the routes of calls."""

    async def create(request: web.Request) -> web.Response:
        caller = caller_of(request, keys)
        body = await read_offer(request)
        wanted = CallRequest(
            body.offer,
            caller.tenant,
            opening(caller, body.session),
            speaks_beta=speaks_beta(request),
        )
        try:
            call_id, answer = await calls.open(wanted)
        except OfferError as error:
            raise ApiError(400, "invalid_offer", str(error), "sdp") from error
        except orjson.JSONEncodeError as error:  # it reads deeper than it writes
            message = "the part session is nested too deeply"
            raise ApiError(400, "invalid_type", message, "session") from error
        except LocalError as error:
            message = "the part session is larger than a relay takes"
            raise ApiError(413, "request_too_large", message, "session") from error
        return web.Response(
            status=201,
            text=answer,
            content_type="application/sdp",
            headers={"Location": f"{CALLS_PATH}/{call_id}"},
        )

    return [web.post(CALLS_PATH, create)]
