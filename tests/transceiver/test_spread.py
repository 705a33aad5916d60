"""Which worker opens a call, and what its caller is told."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import pytest

from proto.errors import LocalError
from runtime.siblings import Siblings
from transceiver.admission import Full, TooMany
from transceiver.call import CallRequest
from transceiver.opening import Opening
from transceiver.spread import MARGIN, Spread
from transceiver.webrtc.offer import OfferError

WANTED = CallRequest(
    "v=0",
    "key-1",
    Opening({"voice": "x"}, {"model": "m"}),
    speaks_beta=True,
    traceparent="00-1",
)


class Worker:
    """The calls of a worker, its admission, and how it reaches the others."""

    is_overloaded = False

    def __init__(self, index: int, service: "Service") -> None:
        self.own_index = index
        self.opened: list[CallRequest] = []
        self.refusal: Exception | None = None
        self.is_deaf = False
        self.not_ready: str | None = None
        self.gate: asyncio.Event | None = None
        self._service = service
        self.spread = Spread(self, self, cast(Siblings, self), service)

    async def open(self, request: CallRequest) -> tuple[str, str]:
        if self.refusal is not None:
            raise self.refusal
        self.opened.append(request)
        return f"rtc_{self.own_index}", "v=0 answer"

    def reason_not_ready(self) -> str | None:
        return self.not_ready

    def running(self) -> Sequence[int]:
        return [i for i in self._service.held if i != self.own_index]

    async def ask(self, index: int, name: str, body: bytes) -> bytes | None:
        assert name == "call"
        sibling = self._service.workers[index]
        if self.gate is not None:
            await self.gate.wait()
        return None if sibling.is_deaf else await sibling.spread.answer(body)


class Service:
    """Some workers, and how many calls each holds."""

    def __init__(self, *held: int) -> None:
        self.held = Counter(dict(enumerate(held)))
        self.workers = [Worker(index, self) for index in range(len(held))]

    def inside(self, worker: int) -> int:
        return self.held[worker]

    async def call(self) -> int:
        """Return which worker opens a call that the first is asked for."""
        call_id, answer = await self.workers[0].spread.open(WANTED)
        assert answer == "v=0 answer"
        return int(call_id.removeprefix("rtc_"))


def outcomes(worker: Worker) -> dict[str, float]:
    (family,) = worker.spread.collect()
    return {sample.labels["outcome"]: sample.value for sample in family.samples}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("held", "taker"),
    [
        ([0, 0], 0),
        ([MARGIN - 1, 0], 0),
        ([MARGIN, 0], 1),
        ([5, 9, 3], 2),
        ([5, 2, 3], 1),
        ([0, 5, 5], 0),
    ],
)
async def test_a_call_is_handed_to_who_has_clearly_fewest(
    held: list[int], taker: int
) -> None:
    assert await Service(*held).call() == taker


@pytest.mark.asyncio
async def test_what_is_asked_for_arrives_as_it_was() -> None:
    service = Service(9, 0)
    await service.call()
    assert service.workers[1].opened == [WANTED]
    assert outcomes(service.workers[0])["taken"] == 1


@pytest.mark.asyncio
async def test_a_process_that_is_alone_opens_all() -> None:
    alone = Worker(0, Service(50, 0))
    cast(Any, alone).own_index = None
    assert (await Spread(alone, alone, cast(Siblings, alone), None).open(WANTED))[0]
    assert alone.opened == [WANTED]


@pytest.mark.asyncio
async def test_calls_on_their_way_count_as_there() -> None:
    service = Service(4, 0, 0)
    service.workers[0].gate = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(service.call()) for _ in range(4)]
        await asyncio.sleep(0)
        service.workers[0].gate.set()
    assert sorted(call.result() for call in calls) == [1, 1, 2, 2]


@pytest.mark.asyncio
async def test_who_does_not_answer_costs_nobody_a_call() -> None:
    service = Service(9, 0)
    service.workers[1].is_deaf = True
    assert await service.call() == 0
    assert outcomes(service.workers[0])["unanswered"] == 1


@pytest.mark.asyncio
async def test_who_has_no_room_after_all_leaves_it_to_who_was_asked() -> None:
    service = Service(9, 0)
    service.workers[1].refusal = Full("this edge is overloaded")
    assert await service.call() == 0
    assert outcomes(service.workers[0])["refused"] == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "refusal", [TooMany("this key"), OfferError("no audio"), LocalError("too long")]
)
async def test_what_would_be_refused_anywhere_is_refused_alike(
    refusal: Exception,
) -> None:
    service = Service(9, 0)
    service.workers[1].refusal = refusal
    with pytest.raises(type(refusal), match=f"^{refusal}$"):
        await service.call()
    assert service.workers[0].opened == []


@pytest.mark.asyncio
@pytest.mark.parametrize("overloaded", [True, False])
async def test_who_takes_no_calls_hands_them_on_however_few_it_has(
    overloaded: bool,
) -> None:
    service = Service(0, 7, 8)
    if overloaded:
        service.workers[0].is_overloaded = True
    else:
        service.workers[0].not_ready = "no relay is connected"
    assert await service.call() == 1
    service.workers[1].refusal = Full("all calls are taken")
    assert await service.call() == 2


@pytest.mark.asyncio
async def test_when_nobody_has_room_the_caller_hears_why_from_who_was_asked() -> None:
    service = Service(0, 0, 0)
    for worker in service.workers:
        worker.not_ready = "draining"
        worker.refusal = Full(f"full: {worker.own_index}")
    with pytest.raises(Full, match="full: 0"):
        await service.call()
