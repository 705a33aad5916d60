"""A worker's loop tells that it turns, for as long as it has to."""

import asyncio

from runtime.heart import beating
from runtime.pulse import BEAT_S
from runtime.table import Phase, Table
from runtime.worker import ALONE, Common, Worker
from tests.support import clock as virtual


def test_a_loop_that_turns_beats_once_a_second_and_rests_afterwards() -> None:
    table = Table(2)
    table.enter(1, Phase.RUNNING)

    async def main() -> None:
        with beating(Worker(1, Common(table, {}, ()))):
            await asyncio.sleep(5.5 * BEAT_S)
            assert table.beats(1) == 6
        assert table.beats(1) is None
        await asyncio.sleep(5 * BEAT_S)
        assert table.beats(1) is None

    virtual.run(main())


def test_who_is_alone_has_nobody_to_tell() -> None:
    async def main() -> None:
        with beating(ALONE):
            await asyncio.sleep(5 * BEAT_S)

    virtual.run(main())
