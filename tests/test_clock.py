"""The virtual-time loop of tests/support keeps the order of time and spends none."""

import asyncio

import pytest

from tests.support import clock


def test_timers_fire_in_order_at_their_times() -> None:
    fired: list[tuple[str, float]] = []

    async def note(name: str, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        fired.append((name, asyncio.get_running_loop().time()))

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(note("hour", 3600))
            tasks.create_task(note("frame", 0.02))
            tasks.create_task(note("day", 86_400))

    clock.run(main())
    assert [name for name, _ in fired] == ["frame", "hour", "day"]
    assert [time_s for _, time_s in fired] == pytest.approx([0.02, 3600, 86_400])


def test_a_wait_without_an_end_is_an_error() -> None:
    with pytest.raises(clock.NothingCanHappenError):
        clock.run(asyncio.Event().wait())


def test_a_task_left_behind_is_an_error() -> None:
    async def main() -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(asyncio.sleep(1))

    with pytest.raises(AssertionError, match="leaked tasks"):
        clock.run(main())


def test_work_in_a_thread_is_waited_for() -> None:
    async def main() -> tuple[int, float]:
        async with asyncio.timeout(60):
            result = await asyncio.to_thread(sum, [1, 2, 3])
        return result, asyncio.get_running_loop().time()

    assert clock.run(main()) == (6, 0.0)
