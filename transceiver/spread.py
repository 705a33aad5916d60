"""New calls go to the worker that has the fewest, whichever of them was asked.

The kernel gives a connection to any worker, and a proxy's connection stays there with
all its requests: so a worker that has clearly more hands a call over. The sibling opens
it as if it had been asked itself; when it does not answer, or has no room, the call is
opened here after all.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

import orjson
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from proto.errors import LocalError
from runtime.siblings import Siblings
from transceiver.admission import Full, TooMany
from transceiver.call import CallRequest
from transceiver.opening import Opening
from transceiver.webrtc.offer import OfferError

MARGIN: Final = 2
"""Calls that a sibling must have less of before one is handed over: it costs both a
little, and a difference of one is none."""

MAX_ASKED: Final = 2
"""Siblings asked for one call: when two have no room, a third is hardly worth it."""

QUESTION: Final = "call"
"""Its name among those that siblings answer."""

_REFUSALS: Final[Mapping[str, type[Exception]]] = {
    refusal.__name__: refusal for refusal in (Full, TooMany, OfferError, LocalError)
}
"""What `open` raises, by the name under which it crosses to a sibling."""


class Opens(Protocol):
    """The calls of one worker."""

    async def open(self, request: CallRequest) -> tuple[str, str]:
        """Return a new call's id and the SDP answer; see `Calls.open`."""

    def reason_not_ready(self) -> str | None:
        """Return why no call would be taken now; None if one would."""


class Strained(Protocol):
    """Whether a worker has too much to do."""

    is_overloaded: bool


class Loads(Protocol):
    """How much each worker holds."""

    def inside(self, worker: int) -> int:
        """Return how many calls and sessions a worker holds."""


class Spread(Collector):
    """Opens calls here or there.

    Args:
        calls: Those of this worker.
        strained: This worker's admission.
        siblings: The other workers.
        loads: What all hold; None: this worker is alone.
    """

    def __init__(
        self,
        calls: Opens,
        strained: Strained,
        siblings: Siblings,
        loads: Loads | None,
    ) -> None:
        self._calls = calls
        self._strained = strained
        self._siblings = siblings
        self._loads = loads
        self._on_their_way: Counter[int] = Counter()
        self._outcomes = Counter({"taken": 0, "refused": 0, "unanswered": 0})

    async def open(self, request: CallRequest) -> tuple[str, str]:
        """Answer a caller's offer, in whichever worker.

        Returns:
            The call's id and the SDP answer.

        Raises:
            Full, TooMany, OfferError, LocalError: As of `Calls.open`.
        """
        for index in self._better():
            opened = await self._ask(index, request)
            if opened is not None:
                return opened
        return await self._calls.open(request)

    async def answer(self, question: bytes) -> bytes:
        """Open a call that a sibling hands over; return what it is to be told."""
        try:
            call_id, sdp = await self._calls.open(_decoded(question))
        except (Full, TooMany, OfferError, LocalError) as error:
            known = next(kind for kind in _REFUSALS.values() if isinstance(error, kind))
            return orjson.dumps({"refusal": known.__name__, "why": str(error)})
        return orjson.dumps({"id": call_id, "sdp": sdp})

    def collect(self) -> Iterable[Metric]:
        """Yield what became of the calls that were handed over."""
        family = CounterMetricFamily(
            "tandem_calls_handed_over",
            "Calls that a sibling worker was asked to take, by outcome.",
            labels=["outcome"],
        )
        for outcome, count in self._outcomes.items():
            family.add_metric([outcome], count)
        yield family

    def _better(self) -> list[int]:
        """Return the siblings to ask before this worker, the best first."""
        own, loads = self._siblings.own_index, self._loads
        if own is None or loads is None:
            return []
        load = {index: self._load(index, loads) for index in self._siblings.running()}
        best = sorted(load, key=load.__getitem__)
        if self._strained.is_overloaded or self._calls.reason_not_ready() is not None:
            return best[:MAX_ASKED]
        return [
            index for index in best[:1] if load[index] + MARGIN <= loads.inside(own)
        ]

    def _load(self, index: int, loads: Loads) -> int:
        return loads.inside(index) + self._on_their_way[index]

    async def _ask(self, index: int, request: CallRequest) -> tuple[str, str] | None:
        """Hand a call over; None: it is not taken there, for want of room or otherwise.

        Raises:
            TooMany, OfferError, LocalError: It would be refused here as well.
        """
        self._on_their_way[index] += 1
        try:
            answer = await self._siblings.ask(index, QUESTION, _encoded(request))
        finally:
            self._on_their_way[index] -= 1
        if answer is None:
            self._outcomes["unanswered"] += 1
            return None
        told: dict[str, str] = orjson.loads(answer)
        if "refusal" not in told:
            self._outcomes["taken"] += 1
            return told["id"], told["sdp"]
        self._outcomes["refused"] += 1
        refusal = _REFUSALS[told["refusal"]]
        if refusal is Full:
            return None
        raise refusal(told["why"])


def _encoded(request: CallRequest) -> bytes:
    return orjson.dumps(
        {
            "offer": request.offer,
            "tenant": request.tenant,
            "session": request.opening.session,
            "bound": request.opening.bound,
            "speaks_beta": request.speaks_beta,
            "traceparent": request.traceparent,
        }
    )


def _decoded(question: bytes) -> CallRequest:
    told: dict[str, Any] = orjson.loads(question)
    return CallRequest(
        told["offer"],
        told["tenant"],
        Opening(told["session"], told["bound"]),
        speaks_beta=told["speaks_beta"],
        traceparent=told["traceparent"],
    )
