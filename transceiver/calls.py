"""All calls of this process: admission, lookup, and the end of each."""

import asyncio
import logging
import secrets

from proto.errors import CloseCode, NotConnected
from proto.udp import Dialer
from transceiver.call import Call, CallRequest, Ending
from transceiver.metrics import Metrics
from transceiver.timer import SharedTimer
from transceiver.uplink import NoRelay, Uplink
from transceiver.webrtc.ice import UdpPort

log = logging.getLogger(__name__)


class Full(Exception):  # noqa: N818  # reads as what happened
    """No more calls are taken now; the message says why."""


class Calls:
    """The live calls; each runs as one task of the service's group."""

    def __init__(
        self, port: UdpPort, uplink: Uplink, metrics: Metrics, *, max_calls: int
    ) -> None:
        self._port = port
        self._uplink = uplink
        self._metrics = metrics
        self._max_calls = max_calls
        self._timer = SharedTimer(asyncio.get_running_loop())
        self._live: dict[str, Call] = {}
        self._group = asyncio.TaskGroup()
        self._draining = False
        self._answering = 0

    def __len__(self) -> int:
        return len(self._live)

    async def open(self, request: CallRequest) -> tuple[str, str]:
        """Answer a caller's offer.

        Returns:
            The call's id and the SDP answer.

        Raises:
            Full: Draining, at the limit, or no relay is connected.
            OfferError: The offer cannot be answered.
            LocalError: The session object is larger than the link carries.
            orjson.JSONEncodeError: It is nested too deeply.
        """
        relay = self._admit()
        call = Call(f"rtc_{secrets.token_urlsafe(18)}", self._port, self._timer)
        self._answering += 1
        try:
            answer = await call.answer(request, relay)
        except NotConnected:
            await call.release(Ending(CloseCode.LINK_LOST, "relay lost"))
            raise self._refused("the relay has just been lost") from None
        except BaseException:
            await call.release(Ending(CloseCode.PROTOCOL, "unusable offer"))
            raise
        finally:
            self._answering -= 1
        if self._draining:  # began meanwhile, and knows nothing of this call
            await call.release(Ending(CloseCode.DRAINING, "the edge is stopping"))
            raise self._refused("this edge is stopping")
        self._live[call.id] = call
        self._group.create_task(self._hold(call), name=call.id)
        log.info("call opened", extra={"call": call.id, "tenant": request.tenant})
        return call.id, answer

    async def run(self, stop: asyncio.Event) -> None:
        """Hold calls until told to stop, then end those that live."""
        async with self._group:
            await stop.wait()
            self._draining = True
            for call in self._live.values():
                call.stop()

    def reason_not_ready(self) -> str | None:
        """Return why no call would be taken now; None if one would."""
        if self._draining:
            return "draining"
        try:
            self._uplink.choose()
        except NoRelay as error:
            return str(error)
        return None

    def _admit(self) -> Dialer:
        if self._draining:
            raise self._refused("this edge is stopping")
        if len(self._live) + self._answering >= self._max_calls:
            raise self._refused(f"all {self._max_calls} calls are taken")
        try:
            return self._uplink.choose()
        except NoRelay as error:
            raise self._refused(str(error)) from None

    def _refused(self, reason: str) -> Full:
        self._metrics.refused.inc()
        return Full(reason)

    async def _hold(self, call: Call) -> None:
        started = asyncio.get_running_loop().time()
        try:
            ending = await call.run()
        except Exception:  # a bug in one call must not end the others
            log.exception("call failed", extra={"call": call.id})
            ending = Ending(CloseCode.INTERNAL, "internal error")
        finally:
            del self._live[call.id]
        seconds = asyncio.get_running_loop().time() - started
        self._metrics.call_ended(call, ending)
        log.info(
            "call ended",
            extra={
                "call": call.id,
                "code": ending.code.name,
                "reason": ending.reason,
                "seconds": round(seconds, 1),
            },
        )
