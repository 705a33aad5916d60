"""What an edge is answered over link and tunnel, and which sessions are found."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

import orjson
import pytest
from prometheus_client import generate_latest

from proto.errors import CloseCode
from proto.request import SessionRequest
from proto.tunnel import Attach, Converse, Describe, Facts, HangUp, Refused
from proto.udp import LinkSession
from relay.audience import MAX_SIDEBANDS
from relay.pacer import Clock
from relay.reception import Reception
from relay.sessions import DRAIN_TIMEOUT_S, Sessions
from relay.sideband import Sideband
from relay.upstream.port import Upstream, UpstreamLost
from tests.relay.fakes import FakeClient, FakeLink, FakeUpstream
from tests.support import clock as virtual

MAX_S = 3600.0
NOW_UNIX_S = 1_700_000_000.7


@dataclass
class Stage:
    sessions: Sessions
    reception: Reception
    tasks: asyncio.TaskGroup
    upstreams: list[FakeUpstream] = field(default_factory=list)
    requests: list[SessionRequest] = field(default_factory=list)

    async def call(self, call_id: str = "rtc_1", tenant: str = "t") -> FakeLink:
        link = FakeLink()
        data = SessionRequest(call_id=call_id, tenant=tenant, model="m").encode()
        assert self.reception.accept(cast("LinkSession", link), data)
        await asyncio.sleep(0.001)
        return link

    async def converse(self, *, speaks_beta: bool = False) -> FakeClient:
        session = {"voice": "marin"} if speaks_beta else None
        request = SessionRequest(
            call_id="sess_1", tenant="t", speaks_beta=speaks_beta, session=session
        )
        conversation = self.reception.answer(Converse(request))
        assert not isinstance(conversation, Facts | Refused)
        client = FakeClient()
        self.tasks.create_task(conversation.run(client))
        await asyncio.sleep(0.001)
        return client

    @property
    def metrics(self) -> str:
        return generate_latest(self.sessions.metrics.registry).decode()


def play(scene: Callable[[Stage], Awaitable[None]]) -> None:
    """Play a scene in virtual time, then drain."""

    async def main() -> None:
        sessions = Sessions(lambda: NOW_UNIX_S)
        clock = Clock(asyncio.get_running_loop(), lambda late_s: None)
        async with asyncio.TaskGroup() as tasks:

            def connect(request: SessionRequest) -> Upstream:
                upstream = FakeUpstream()
                stage.upstreams.append(upstream)
                stage.requests.append(request)
                return upstream

            reception = Reception(sessions, tasks, connect, clock, MAX_S)
            stage = Stage(sessions, reception, tasks)
            await scene(stage)
            await sessions.drain()

    virtual.run(main())


def test_a_live_call_is_described() -> None:
    async def scene(stage: Stage) -> None:
        await stage.call()
        assert stage.reception.answer(Describe("rtc_1", "t")) == Facts(
            {
                "id": "rtc_1",
                "object": "realtime.call",
                "created_at": 1_700_000_000,
                "model": "m",
                "status": "in_progress",
            }
        )

    play(scene)


@pytest.mark.parametrize(
    "request_",
    [Attach("rtc_1", "other", speaks_beta=False), HangUp("rtc_1", "other")]
    + [Describe(call_id, "t") for call_id in ("rtc_2", "", "sess_1")],
)
def test_unknown_foreign_and_other_ids_are_answered_alike(
    request_: Attach | HangUp | Describe,
) -> None:
    async def scene(stage: Stage) -> None:
        await stage.call()
        await stage.converse()
        answer = stage.reception.answer(request_)
        assert answer == Refused(404, "call_not_found", "There is no such call.")

    play(scene)


def test_a_call_that_is_hung_up_is_closed_and_found_no_more() -> None:
    async def scene(stage: Stage) -> None:
        link = await stage.call()
        assert stage.reception.answer(HangUp("rtc_1", "t")) == Facts({})
        assert link.closes[0][0] is CloseCode.NORMAL
        answer = stage.reception.answer(HangUp("rtc_1", "t"))
        assert isinstance(answer, Refused)
        await asyncio.sleep(0.01)
        assert stage.reception.answer(Describe("rtc_1", "t")) == answer
        assert stage.upstreams[0].was_cancelled

    play(scene)


def test_an_ended_call_leaves_another_with_its_id_alone() -> None:
    async def scene(stage: Stage) -> None:
        await stage.call()
        await stage.call()
        stage.upstreams[0].fail(UpstreamLost("gone", "No."))
        await asyncio.sleep(0.01)
        assert isinstance(stage.reception.answer(Describe("rtc_1", "t")), Facts)

    play(scene)


def test_a_fifth_server_is_refused() -> None:
    async def scene(stage: Stage) -> None:
        await stage.call()
        for _ in range(MAX_SIDEBANDS):
            sideband = stage.reception.answer(Attach("rtc_1", "t", speaks_beta=False))
            assert isinstance(sideband, Sideband)
            stage.tasks.create_task(sideband.run(FakeClient()))
        await asyncio.sleep(0.01)
        answer = stage.reception.answer(Attach("rtc_1", "t", speaks_beta=False))
        assert isinstance(answer, Refused)
        assert (answer.status, answer.code) == (429, "too_many_connections")

    play(scene)


def test_sessions_are_counted_by_how_their_clients_came() -> None:
    async def scene(stage: Stage) -> None:
        link = await stage.call()
        client = await stage.converse()
        assert 'tandem_relay_sessions{transport="webrtc"} 1.0' in stage.metrics
        assert 'tandem_relay_sessions{transport="websocket"} 1.0' in stage.metrics
        client.leaves()
        await asyncio.sleep(0.01)
        assert link.closes == []
        assert 'tandem_relay_sessions{transport="websocket"} 0.0' in stage.metrics
        labels = 'code="normal",transport="websocket"'
        assert f"sessions_closed_total{{{labels}}} 1.0" in stage.metrics

    play(scene)


def test_a_relay_that_drains_closes_all_and_takes_no_more() -> None:
    async def scene(stage: Stage) -> None:
        link, client = await stage.call(), await stage.converse()
        stage.reception.is_draining = True
        await stage.sessions.drain()
        assert link.closes[0][0] is CloseCode.DRAINING
        assert client.closes[0][0] == 1001
        late = FakeLink()
        assert stage.reception.accept(cast("LinkSession", late), b"{}") is None
        assert late.closes[0][0] is CloseCode.DRAINING
        request = SessionRequest(call_id="sess_2", tenant="t")
        answer = stage.reception.answer(Converse(request))
        assert isinstance(answer, Refused)
        assert answer.status == 503

    play(scene)


def test_a_relay_is_done_when_its_last_session_has_ended() -> None:
    async def scene(stage: Stage) -> None:
        link, client = await stage.call(), await stage.converse()
        ended = stage.tasks.create_task(stage.sessions.ended())
        client.leaves()
        await asyncio.sleep(1)
        assert not ended.done()
        stage.reception.answer(HangUp("rtc_1", "t"))
        await ended
        assert link.closes[0][0] is CloseCode.NORMAL

    play(scene)


def test_a_session_yet_to_begin_is_waited_for() -> None:
    async def scene(stage: Stage) -> None:
        data = SessionRequest(call_id="rtc_1", tenant="t").encode()
        stage.reception.accept(cast("LinkSession", FakeLink()), data)
        ended = stage.tasks.create_task(stage.sessions.ended())
        await asyncio.sleep(1)
        assert not ended.done()
        stage.reception.answer(HangUp("rtc_1", "t"))
        await ended

    play(scene)


def test_a_session_asked_for_as_the_relay_stops_is_let_go() -> None:
    async def scene(stage: Stage) -> None:
        link, client = FakeLink(), FakeClient()
        data = SessionRequest(call_id="rtc_1", tenant="t").encode()
        stage.reception.accept(cast("LinkSession", link), data)
        request = SessionRequest(call_id="sess_1", tenant="t")
        conversation = stage.reception.answer(Converse(request))
        assert not isinstance(conversation, Facts | Refused)
        stage.tasks.create_task(conversation.run(client))
        await stage.sessions.drain()
        await asyncio.sleep(0.01)
        assert link.closes[0][0] is CloseCode.DRAINING
        assert not link.accepted

    play(scene)


def test_a_session_that_does_not_end_is_cut_off() -> None:
    async def scene(stage: Stage) -> None:
        client = await stage.converse()
        stage.upstreams[0].lingers = True
        started_s = asyncio.get_running_loop().time()
        await stage.sessions.drain()
        waited_s = asyncio.get_running_loop().time() - started_s
        assert waited_s == pytest.approx(DRAIN_TIMEOUT_S)
        assert client.closes[0][0] == 1001

    play(scene)


def test_a_fault_in_one_session_ends_it_and_no_other() -> None:
    async def scene(stage: Stage) -> None:
        link, client = await stage.call(), await stage.converse()
        stage.upstreams[1].fail(cast("UpstreamLost", ValueError("a fault")))
        await asyncio.sleep(0.01)
        assert client.closes == [(1011, "internal error")]
        assert link.closes == []

    play(scene)


def test_a_request_that_cannot_be_read_is_refused() -> None:
    async def scene(stage: Stage) -> None:
        link = FakeLink()
        assert stage.reception.accept(cast("LinkSession", link), b"[]") is None
        assert link.closes[0][0] is CloseCode.PROTOCOL

    play(scene)


def test_a_beta_clients_opening_session_gets_its_ga_shape() -> None:
    async def scene(stage: Stage) -> None:
        await stage.converse(speaks_beta=True)
        session = {"type": "realtime", "audio": {"output": {"voice": "marin"}}}
        assert stage.requests[0].session == session

    play(scene)


def test_a_beta_client_of_a_ga_secret_gets_one_shape_and_overrides_nothing() -> None:
    async def scene(stage: Stage) -> None:
        bound = {"type": "realtime", "audio": {"output": {"voice": "marin"}}}
        for speaks_beta in (True, False):
            request = SessionRequest(
                call_id="sess_1",
                tenant="t",
                speaks_beta=speaks_beta,
                session={"voice": "ash", "speed": 1.2},
                bound=bound,
            )
            conversation = stage.reception.answer(Converse(request))
            assert not isinstance(conversation, Facts | Refused)
            client = FakeClient()
            stage.tasks.create_task(conversation.run(client))
            await asyncio.sleep(0.001)
            sent = [orjson.loads(p)["session"] for p in stage.upstreams[-1].sent]
            output = {"voice": "marin", "speed": 1.2}
            assert sent == [bound, {"type": "realtime", "audio": {"output": output}}]

    play(scene)
