"""Look-ups of names, answered by hand."""

import asyncio
import socket

import pytest

from relay.upstream.names import KEPT_S, Addresses, Names
from tests.support import clock as virtual

SOMEWHERE: Addresses = [
    (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 443)),
    (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 443, 0, 0)),
]


class Resolver:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.questions: list[asyncio.Future[Addresses]] = []

    def ask(self, host: str, port: int) -> asyncio.Future[Addresses]:
        assert (host, port) == ("api", 443)
        self.questions.append(asyncio.get_running_loop().create_future())
        return self.questions[-1]


def test_who_asks_at_the_same_time_shares_one_look_up() -> None:
    async def main() -> None:
        resolver = Resolver()
        names = Names(resolver.ask)
        async with asyncio.TaskGroup() as tasks:
            asking = [
                tasks.create_task(names.addresses("api", 443)) for _ in range(100)
            ]
            await asyncio.sleep(2)
            (question,) = resolver.questions
            question.set_result(SOMEWHERE)
        assert all(task.result() == SOMEWHERE for task in asking)

    virtual.run(main())


@pytest.mark.parametrize(("later_s", "questions"), [(KEPT_S - 0.1, 1), (KEPT_S, 2)])
def test_an_answer_is_used_for_a_while(later_s: float, questions: int) -> None:
    async def main() -> None:
        resolver = Resolver()
        names = Names(resolver.ask)
        for pause_s in (0.0, later_s):
            await asyncio.sleep(pause_s)
            asking = asyncio.create_task(names.addresses("api", 443))
            await asyncio.sleep(0)
            if not resolver.questions[-1].done():
                resolver.questions[-1].set_result(SOMEWHERE)
            assert await asking == SOMEWHERE
        assert len(resolver.questions) == questions

    virtual.run(main())


def test_a_failure_is_told_to_all_who_wait_and_to_nobody_later() -> None:
    async def main() -> None:
        resolver = Resolver()
        names = Names(resolver.ask)
        asking = [asyncio.create_task(names.addresses("api", 443)) for _ in "ab"]
        await asyncio.sleep(0)
        resolver.questions[0].set_exception(socket.gaierror("no answer"))
        for one in asking:
            with pytest.raises(socket.gaierror):
                await one
        later = asyncio.create_task(names.addresses("api", 443))
        await asyncio.sleep(0)
        resolver.questions[1].set_result(SOMEWHERE)
        assert await later == SOMEWHERE

    virtual.run(main())


def test_who_gives_up_leaves_the_look_up_to_the_others() -> None:
    async def main() -> None:
        resolver = Resolver()
        names = Names(resolver.ask)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await names.addresses("api", 443)
        other = asyncio.create_task(names.addresses("api", 443))
        await asyncio.sleep(0)
        (question,) = resolver.questions
        question.set_result(SOMEWHERE)
        assert await other == SOMEWHERE

    virtual.run(main())
