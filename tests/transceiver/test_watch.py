"""What the watch of a process measures, and whom it tells."""

import asyncio

import pytest

from proto.liveness import DEAD_AFTER_S
from tests.support import clock
from transceiver.strain import FALL_SECONDS, RISE_SECONDS, Level, Second, Strain
from transceiver.watch import STEP_S, Watch


class Watched:
    """A process of our own making, watched in virtual time."""

    def __init__(self, share: float, busy_s: int) -> None:
        self.levels: list[tuple[int, Level]] = []
        self.seconds: list[Second] = []
        self.slept_at: list[float] = []
        self._share = share
        self._busy_s = busy_s
        strain = Strain(saved=0.4)
        self.watch = Watch(
            strain, self._changed, self.seconds.append, self._slept, self._cpu_s
        )

    def _changed(self, level: Level) -> None:
        self.levels.append((len(self.seconds), level))

    def _slept(self) -> None:
        self.slept_at.append(asyncio.get_running_loop().time())

    def _cpu_s(self) -> float:
        now = asyncio.get_running_loop().time()
        return self._share * min(now, self._busy_s + self._busy_s * STEP_S)

    async def run(self, seconds: int) -> None:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self.watch.run())
            await asyncio.sleep(seconds + 0.5)
            watching.cancel()


def test_each_second_is_measured_by_its_cpu_time_and_its_worst_wake_up() -> None:
    watched = Watched(share=0.3, busy_s=1000)
    clock.run(watched.run(4))
    assert len(watched.seconds) == 4
    for share, late_s in watched.seconds:
        assert share == pytest.approx(0.3)
        assert 0 <= late_s < STEP_S
    assert watched.levels == []


def test_a_change_is_told_once_when_it_comes_and_when_it_goes() -> None:
    watched = Watched(share=0.9, busy_s=20)
    clock.run(watched.run(60))
    (rose, up), (fell, down) = watched.levels
    assert (rose, up, down) == (RISE_SECONDS, Level.EASED, Level.NORMAL)
    assert fell >= 20 + FALL_SECONDS


def test_a_loop_that_is_held_is_found_late() -> None:
    watched = Watched(share=0.3, busy_s=1000)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, clock.VirtualTimeLoop)
        for tenth in range(40):
            loop.call_at(tenth / 10, loop.hold, 0.09)
        await watched.run(4)

    clock.run(main())
    assert Level.EASED in [level for _, level in watched.levels]


@pytest.mark.parametrize(
    ("held_s", "told"), [(DEAD_AFTER_S - STEP_S, 0), (DEAD_AFTER_S + STEP_S, 1)]
)
def test_a_process_that_did_not_run_for_as_long_as_links_last_is_told_so_once(
    held_s: float, told: int
) -> None:
    watched = Watched(share=0.3, busy_s=1000)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, clock.VirtualTimeLoop)
        loop.call_at(1.01, loop.hold, held_s)
        await watched.run(4)

    clock.run(main())
    assert watched.slept_at == [pytest.approx(1.01 + held_s)] * told
