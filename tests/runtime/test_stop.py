"""How long a service that is told to end goes on, in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from runtime.stop import Stop
from tests.support import clock as virtual


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scene()

    virtual.run(main())


def test_a_drain_ends_when_its_grace_is_over_and_not_before() -> None:
    async def scene() -> None:
        stop = Stop(grace_s=60.0)
        stop.drain()
        assert stop.draining.is_set()
        await asyncio.sleep(59)
        assert not stop.is_set()
        await stop.wait()
        assert asyncio.get_running_loop().time() == pytest.approx(60)

    play(scene)


def test_asking_again_for_a_drain_gives_no_further_grace() -> None:
    async def scene() -> None:
        stop = Stop(grace_s=60.0)
        stop.drain()
        await asyncio.sleep(30)
        stop.drain()
        await stop.wait()
        assert asyncio.get_running_loop().time() == pytest.approx(60)

    play(scene)


def test_without_grace_a_drain_is_the_end() -> None:
    async def scene() -> None:
        stop = Stop()
        stop.drain()
        assert stop.is_set()

    play(scene)


def test_what_ends_now_has_drained() -> None:
    async def scene() -> None:
        stop = Stop(grace_s=60.0)
        stop.set()
        assert stop.draining.is_set()

    play(scene)


def test_the_end_comes_when_what_goes_on_is_over() -> None:
    async def scene() -> None:
        stop = Stop(grace_s=60.0)
        stop.drain()
        await stop.set_after(asyncio.sleep(5))
        assert stop.is_set()
        assert asyncio.get_running_loop().time() == pytest.approx(5)

    play(scene)


def test_what_goes_on_is_not_waited_for_beyond_the_grace() -> None:
    async def scene() -> None:
        stop = Stop(grace_s=60.0)
        stop.drain()
        await stop.set_after(asyncio.sleep(3600))
        assert asyncio.get_running_loop().time() == pytest.approx(60)

    play(scene)
