"""All calls of this process: the opening, the holding and the end of each."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Sequence

from proto.errors import CloseCode
from proto.udp import Dialer
from runtime.stop import Stop
from runtime.traces import SILENT, Steps, Tracer
from transceiver.admission import Admission, Full
from transceiver.call import Call, CallRequest, Ending
from transceiver.metrics import Metrics
from transceiver.profile import Profile
from transceiver.sight import CALL, OFFER, Sight
from transceiver.strain import Level, Second
from transceiver.timer import SharedTimer
from transceiver.uplink import NoRelay, Uplink
from transceiver.usage import UsageCollector
from transceiver.webrtc.certificate import Certificates
from transceiver.webrtc.ice import UdpPort

log = logging.getLogger(__name__)

ANSWERS_AT_ONCE = 4
"""Answers that are made side by side; the others wait their turn, as many as there are
slots. Each takes 1 ms of the loop in some pieces: a hundred offers of one moment would
keep the audio of all live calls waiting for 75 ms."""

FINE = frozenset({CloseCode.NORMAL, CloseCode.DRAINING})
"""How calls end that have not failed."""


class Calls:
    """The live calls; each runs as one task of the service's group."""

    def __init__(
        self,
        port: UdpPort,
        uplink: Uplink,
        metrics: Metrics,
        admission: Admission,
        profile: Profile = Profile.AUTO,
        tracer: Tracer = SILENT,
    ) -> None:
        self._port = port
        self._uplink = uplink
        self._metrics = metrics
        self._admission = admission
        self._profile = profile
        self._tracer = tracer
        self._timer = SharedTimer(asyncio.get_running_loop())
        self._certificates = Certificates()
        self._answering = asyncio.Semaphore(ANSWERS_AT_ONCE)
        self._live: dict[str, Call] = {}
        self._group = asyncio.TaskGroup()
        self._is_eased = False
        self._usage = UsageCollector(self._live.values)
        metrics.registry.register(self._usage)

    def __len__(self) -> int:
        return len(self._live)

    async def open(self, request: CallRequest) -> tuple[str, str]:
        """Answer a caller's offer.

        Returns:
            The call's id and the SDP answer.

        Raises:
            Full: Draining, at the limit, or no relay is connected.
            TooMany: The caller's key is at its limit.
            OfferError: The offer cannot be answered.
            LocalError: The session object is larger than the link carries.
        """
        with contextlib.ExitStack() as slot:
            slot.enter_context(self._admission.slot(request.tenant))
            sight = self._metrics.sight(slot.enter_context(self._traced(request)))
            await self._uplink.sure()
            async with self._answering:
                call, answer = await self._answer(request, self._choose(), sight)
            sight.trace.end(OFFER)
            self._live[call.id] = call
            call.ease(eased=self._is_eased)
            holding = self._hold(call, sight.trace, slot.pop_all())
            self._group.create_task(holding, name=call.id)
        log.info("call opened", extra={"call": call.id, "tenant": request.tenant})
        return call.id, answer

    def hang_up(self, call_id: str, tenant: str) -> bool:
        """End a tenant's call; False: it is not held here.

        True also of one that is just ending: it is not to be looked for elsewhere.
        """
        call = self._live.get(call_id)
        if call is None or call.tenant != tenant:
            return False
        call.stop(CloseCode.NORMAL, "the call was hung up")
        return True

    def _traced(self, request: CallRequest) -> Steps:
        fields = {"tandem.transport": "webrtc", "tandem.tenant": request.tenant}
        trace = Steps(self._tracer.begin(CALL, fields, request.traceparent))
        trace.begin(OFFER)
        return trace

    async def _answer(
        self, request: CallRequest, relay: Dialer, sight: Sight
    ) -> tuple[Call, str]:
        call_id = f"rtc_{secrets.token_urlsafe(18)}"
        sight.trace.span.tell({"tandem.call.id": call_id})
        call = Call(
            call_id,
            self._port,
            self._timer,
            self._elsewhere,
            self._profile,
            self._certificates.current(self._timer.now()),
        )
        call.watched_by(sight)
        try:
            answer = await call.answer(request, relay)
        except NoRelay as error:
            await call.release(Ending(CloseCode.LINK_LOST, "relay lost"))
            raise Full(str(error)) from None
        except BaseException:
            await call.release(Ending(CloseCode.PROTOCOL, "unusable offer"))
            raise
        if self._admission.is_draining:  # began meanwhile, and knows not of this call
            await call.release(Ending(CloseCode.DRAINING, "the edge is stopping"))
            raise Full("this edge is stopping")
        return call, answer

    async def run(self, stop: Stop) -> None:
        """Hold calls until told to stop, then end those that live.

        While the edge drains they go on; `stop` is set when all slots are free.
        """
        async with self._group:
            await stop.draining.wait()
            emptied = asyncio.Event()
            self._admission.drain(emptied.set)
            if not stop.is_set():
                log.info("draining", extra={"inside": len(self._admission)})
            await stop.set_after(emptied.wait())
            for call in self._live.values():
                call.stop(CloseCode.DRAINING, "the edge is stopping")

    def relieve(self, level: Level) -> None:
        """Give up what a strained process has to; take it up again when it is not."""
        self._admission.is_overloaded = level is Level.FULL
        self._is_eased = level is not Level.NORMAL
        for call in self._live.values():
            call.ease(eased=self._is_eased)

    def second(self, second: Second) -> None:
        """Count what a second was like, here and on the links that carry calls."""
        self._metrics.second(second)
        for dialer in self._uplink.dialers:
            if dialer.session_count and dialer.rtt_s is not None:
                self._metrics.one_way(dialer.rtt_s / 2)

    def reason_not_ready(self) -> str | None:
        """Return why no call would be taken now; None if one would, if there is room.

        Want of room or of CPU passes, and is answered with 503: who is taken out of the
        rotation for it may lose the datagrams of its live calls as well.
        """
        if self._admission.is_draining:
            return "draining"
        try:
            self._uplink.choose()
        except NoRelay as error:
            return str(error)
        return None

    def _choose(self) -> Dialer:
        try:
            return self._uplink.choose()
        except NoRelay as error:
            raise Full(str(error)) from None

    def _elsewhere(self, tried: Sequence[Dialer], code: CloseCode) -> Dialer:
        """Return the next relay for a call that the last one does not take.

        Raises:
            NoRelay: There is none.
        """
        if code is CloseCode.DRAINING:
            self._uplink.leave_out(tried[-1])
        return self._uplink.choose(but=tried)

    async def _hold(self, call: Call, trace: Steps, slot: contextlib.ExitStack) -> None:
        started = asyncio.get_running_loop().time()
        try:
            ending = await _outcome(call)
            trace.span.tell({"tandem.close.code": ending.code.name.lower()})
            if ending.code not in FINE:
                trace.error = ending.code.name.lower()
        finally:
            del self._live[call.id]
            self._usage.ended(call)
            slot.close()
        seconds = asyncio.get_running_loop().time() - started
        self._metrics.call_ended(call, ending)
        frames = call.frame_counts
        log.info(
            "call ended",
            extra={
                "call": call.id,
                "code": ending.code.name,
                "reason": ending.reason,
                "seconds": round(seconds, 1),
                **(frames.fields() if frames is not None else {}),
            },
        )


async def _outcome(call: Call) -> Ending:
    """Hold a call to its end; a bug in one must not end the others."""
    try:
        return await call.run()
    except Exception:
        log.exception("call failed", extra={"call": call.id})
        return Ending(CloseCode.INTERNAL, "internal error")
