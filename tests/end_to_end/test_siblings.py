"""Workers ask each other over sockets that have no name."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from runtime import siblings as under_test
from runtime.siblings import Answer, Siblings
from runtime.table import Phase, Table
from runtime.worker import ALONE, Common, Worker
from runtime.workers import mailbox as new_mailbox
from tests.support.waiting import LIMIT_S


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let answers take their time, unless a test is of those that take too long."""
    monkeypatch.setattr(under_test, "ASKING_S", LIMIT_S)


async def echo(body: bytes) -> bytes:
    return body


@contextlib.asynccontextmanager
async def workers(*answers: dict[str, Answer]) -> AsyncIterator[list[Siblings]]:
    """Run workers that answer so, all in this process."""
    mailboxes = tuple(new_mailbox() for _ in answers)
    common = Common(Table(len(answers)), {}, mailboxes)
    places = [Worker(index, common) for index in range(len(answers))]
    async with contextlib.AsyncExitStack() as running:
        for mailbox in mailboxes:
            for end in mailbox:
                running.enter_context(end)
        found = [Siblings(place) for place in places]
        for place, one, answering in zip(places, found, answers, strict=True):
            place.enter(Phase.RUNNING)
            await running.enter_async_context(one.answering(answering))
        yield found


def inbox_of(one: Siblings) -> socket.socket:
    """Return where a worker is asked."""
    common = one._worker.common
    assert common is not None
    return common.mailboxes[one._worker.index].inbox


@pytest.mark.asyncio
async def test_a_question_of_any_length_is_answered_by_who_is_asked() -> None:
    async def other(_: bytes) -> bytes:
        return b"other"

    async with workers({"echo": echo}, {"echo": echo}, {"echo": other}) as all_:
        long = bytes(range(256)) * 8000
        assert await all_[0].ask(1, "echo", long) == long
        assert await all_[0].ask(1, "echo", b"two\nlines") == b"two\nlines"
        assert await all_[1].ask(2, "echo", b"x") == b"other"
        assert await all_[1].ask_all("echo") == {2: b"other"}


@pytest.mark.asyncio
async def test_many_ask_at_once() -> None:
    async with workers({}, {"echo": echo}) as (one, _), asyncio.TaskGroup() as tasks:
        asked = {
            body: tasks.create_task(one.ask(1, "echo", body))
            for body in (str(number).encode() for number in range(100))
        }
    assert all(task.result() == body for body, task in asked.items())


@pytest.mark.asyncio
async def test_only_who_is_there_is_asked() -> None:
    async with workers({"echo": echo}, {"echo": echo}, {"echo": echo}) as (one, *_):
        assert one.running() == [1, 2]
        Worker(1, one._worker.common).enter(Phase.DRAINING)
        assert one.running() == [2]
        assert one.present() == [1, 2]
        Worker(1, one._worker.common).enter(Phase.AWAY)
        assert one.present() == [2]
    assert Siblings(ALONE).present() == []
    assert await Siblings(ALONE).ask_all("echo") == {}


@pytest.mark.asyncio
async def test_who_does_not_answer_in_time_is_done_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(under_test, "ASKING_S", 0.05)

    async def never(_: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    async with workers({}, {"never": never}) as (one, _):
        assert await one.ask(1, "never") is None


@pytest.mark.asyncio
async def test_one_that_hangs_delays_no_answer_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(under_test, "ASKING_S", 2 * LIMIT_S)

    async def no(_: bytes) -> bytes:
        return b"no"

    async def yes(_: bytes) -> bytes:
        return b"yes"

    async with workers({}, {}, {"ready": no}, {"ready": yes}) as (one, hangs, *_):
        asyncio.get_running_loop().remove_reader(inbox_of(hangs))
        async with asyncio.timeout(LIMIT_S):
            assert await one.one_answers("ready", b"yes")


@pytest.mark.asyncio
async def test_none_answers_so_when_all_have_answered_otherwise() -> None:
    async with workers({}, {"echo": echo}, {}) as (one, *_):
        assert not await one.one_answers("echo", b"yes")
    assert not await Siblings(ALONE).one_answers("echo", b"yes")


@pytest.mark.asyncio
async def test_what_nobody_waits_for_any_more_is_not_done() -> None:
    done: list[bytes] = []

    async def do(body: bytes) -> bytes:
        done.append(body)
        return b"done"

    async with workers({}, {"do": do}) as (one, _):
        ask_as_one_long_gone(one, 1, b"do\nearly")
        assert await one.ask(1, "do", b"late") == b"done"
    assert done == [b"late"]


def ask_as_one_long_gone(one: Siblings, index: int, question: bytes) -> None:
    """Ask as who has given up waiting, and whom the sibling hears only now."""
    now = asyncio.get_running_loop().time()
    asked_at = under_test._SENT_AT.pack(now - under_test.ASKING_S - 1)
    common = one._worker.common
    assert common is not None
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.send(question)
        outbox = common.mailboxes[index].outbox
        socket.send_fds(outbox, [asked_at], [theirs.fileno()])


@pytest.mark.asyncio
async def test_who_has_not_answered_gets_no_new_work_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(under_test, "ASKING_S", 0.01)
    async with workers({}, {}, {"echo": echo}) as (one, other, _):
        asyncio.get_running_loop().remove_reader(inbox_of(other))  # as if it hung
        assert one.running() == [1, 2]
        assert await one.ask(1, "echo") is None
        assert one.running() == [2]
        assert one.present() == [1, 2]
        monkeypatch.setattr(under_test, "AVOIDED_S", 0.0)
        assert await one.ask(1, "echo") is None
        assert one.running() == [1, 2]


@pytest.mark.asyncio
async def test_a_fault_in_an_answer_ends_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(_: bytes) -> bytes:
        raise RuntimeError("a bug of ours")

    async with workers({}, {"broken": broken, "echo": echo}) as (one, _):
        assert await one.ask(1, "broken") is None
        assert "a bug of ours" in caplog.text
        assert await one.ask(1, "echo", b"x") == b"x"


@pytest.mark.asyncio
@pytest.mark.parametrize("lost_bytes", [1, len(b"calls 12"), len(b"calls 12") + 1])
async def test_half_an_answer_of_one_who_dies_over_it_is_none(
    lost_bytes: int,
) -> None:
    async with workers({}, {"metrics": echo}) as (one, other):
        asking = asyncio.create_task(one.ask(1, "metrics", b"calls 12"))
        loop = asyncio.get_running_loop()
        loop.remove_reader(inbox_of(other))
        await readable(inbox_of(other))
        taken = under_test._taken(inbox_of(other))
        assert taken is not None
        with taken[0] as connection:
            assert await loop.sock_recv(connection, 64) == b"metrics\ncalls 12"
            whole = under_test._LENGTH.pack(8) + b"calls 12"
            await loop.sock_sendall(connection, whole[:-lost_bytes])
        assert await asking is None


async def readable(end: socket.socket) -> None:
    """Return when something waits in a socket."""
    loop, there_is = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(end, there_is.set)
    await there_is.wait()
    loop.remove_reader(end)


@pytest.mark.asyncio
async def test_who_is_asked_too_much_hangs_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "MAX_ASKED", 0)
    async with workers({}, {"echo": echo}) as (one, _):
        assert await one.ask(1, "echo", b"x") is None


@pytest.mark.asyncio
async def test_a_full_mailbox_is_no_answer_for_now() -> None:
    mailboxes = (new_mailbox(), new_mailbox())
    common = Common(Table(2), {}, mailboxes)
    common.table.enter(1, Phase.RUNNING)
    one = Siblings(Worker(0, common))
    with contextlib.ExitStack() as held:
        for mailbox in mailboxes:
            for end in mailbox:
                held.enter_context(end)
        with contextlib.suppress(BlockingIOError):
            while mailboxes[1].outbox.send(b"c"):
                pass
        assert await one.ask(1, "echo", b"x") is None
        assert one.running() == [1]
