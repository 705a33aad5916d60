"""Which relay a new call gets, and which relays there are."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from proto.payload import Payload
from proto.stats import LinkStats
from runtime.settings import Address
from tests.support import clock as virtual
from transceiver import uplink as uplink_module
from transceiver.uplink import RESOLVE_S, SURE_AFTER_S, NoRelay, Uplink

NAME = Address("relays.example", 7000)
ONE, TWO, THREE = (Address(f"10.0.0.{number}", 7000) for number in (1, 2, 3))


class FakeDialer:
    """A link without a relay."""

    def __init__(
        self, address: Address, key: bytes, *, payloads: tuple[Payload, ...] = ()
    ) -> None:
        self.address = address
        self.is_up = False
        self.session_count = 0
        self.rtt_s: float | None = None
        self.stats = LinkStats()
        self.is_dialling = False

    async def run(self) -> None:
        self.is_dialling = True
        self.comes_up()
        try:
            await asyncio.Event().wait()
        finally:
            self.is_dialling = False
            self.is_up = False

    def comes_up(self) -> None:
        self.is_up = True
        self.stats.ups += 1


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uplink_module, "Dialer", FakeDialer)


class Stage:
    """An uplink whose names stand for what the test says."""

    def __init__(self, *regions: Sequence[Address]) -> None:
        self.uplink = Uplink(regions, bytes(32), resolve=self._resolve)
        self.names: dict[Address, list[Address]] = {}

    async def _resolve(self, name: Address) -> list[Address]:
        if name not in self.names:
            raise OSError("no such name")
        return self.names[name]

    def dialer(self, address: Address) -> FakeDialer:
        (found,) = (d for d in self.uplink.dialers if d.address == address)
        assert isinstance(found, FakeDialer)
        return found

    @property
    def ranked(self) -> list[Address]:
        return [dialer.address for dialer in self.uplink.ranked()]

    @property
    def known(self) -> list[Address]:
        return [dialer.address for dialer in self.uplink.dialers]


def play(stage: Callable[[], Stage], scene: Callable[[Stage], Awaitable[None]]) -> None:
    """Play a scene with a running uplink, in virtual time."""

    async def main() -> None:
        set_ = stage()
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(set_.uplink.run())
            await asyncio.sleep(0.1)
            await scene(set_)
            running.cancel()

    virtual.run(main())


def test_the_nearest_region_comes_first_then_load_then_the_way() -> None:
    async def scene(stage: Stage) -> None:
        near, far = stage.dialer(ONE), stage.dialer(THREE)
        near.session_count = 50
        far.rtt_s = 0.001
        assert stage.ranked == [TWO, ONE, THREE]
        stage.uplink.tunnels[stage.uplink.dialers[1]] = 50
        near.rtt_s, stage.dialer(TWO).rtt_s = 0.02, 0.03
        assert stage.ranked == [ONE, TWO, THREE]
        stage.dialer(TWO).rtt_s = 0.01
        assert stage.ranked == [TWO, ONE, THREE]

    play(lambda: Stage([ONE, TWO], [THREE]), scene)


def test_the_next_region_takes_calls_when_the_nearest_is_lost() -> None:
    async def scene(stage: Stage) -> None:
        stage.dialer(ONE).is_up = False
        assert stage.uplink.choose().address == TWO
        stage.dialer(TWO).is_up = False
        with pytest.raises(NoRelay, match="connected"):
            stage.uplink.choose()

    play(lambda: Stage([ONE], [TWO]), scene)


def test_a_call_is_not_sent_again_to_a_relay_that_it_has_tried() -> None:
    async def scene(stage: Stage) -> None:
        first = stage.uplink.choose()
        second = stage.uplink.choose(but=[first])
        assert second is not first
        with pytest.raises(NoRelay, match="takes the call"):
            stage.uplink.choose(but=[first, second])

    play(lambda: Stage([ONE, TWO]), scene)


def test_a_draining_relay_is_left_out_until_its_link_is_another() -> None:
    async def scene(stage: Stage) -> None:
        drains = stage.uplink.dialers[0]
        stage.uplink.leave_out(drains)
        assert stage.ranked == [TWO]
        assert drains in stage.uplink.connected()  # asked for the calls it has
        stage.dialer(ONE).comes_up()
        assert set(stage.ranked) == {ONE, TWO}

    play(lambda: Stage([ONE, TWO]), scene)


def test_when_all_drain_there_is_no_relay() -> None:
    async def scene(stage: Stage) -> None:
        stage.uplink.leave_out(stage.uplink.dialers[0])
        with pytest.raises(NoRelay, match="draining"):
            stage.uplink.choose()

    play(lambda: Stage([ONE]), scene)


def test_all_that_a_name_stands_for_is_dialled() -> None:
    def named() -> Stage:
        stage = Stage([NAME], [THREE])
        stage.names[NAME] = [ONE, TWO]
        return stage

    async def scene(stage: Stage) -> None:
        assert set(stage.ranked) == {ONE, TWO, THREE}
        assert stage.ranked[-1] == THREE
        assert NAME not in stage.known

    play(named, scene)


def test_relays_come_and_go_behind_their_name() -> None:
    async def scene(stage: Stage) -> None:
        stage.names[NAME] = [ONE]
        await asyncio.sleep(RESOLVE_S)
        lost = stage.dialer(ONE)
        assert stage.known == [ONE]
        stage.names[NAME] = [TWO]
        await asyncio.sleep(RESOLVE_S)
        assert set(stage.ranked) == {ONE, TWO}  # its calls go on
        lost.is_up = False
        await asyncio.sleep(RESOLVE_S)
        assert stage.known == [TWO]
        assert not lost.is_dialling

    play(lambda: Stage([NAME]), scene)


def test_a_name_that_cannot_be_resolved_takes_no_relay_away() -> None:
    async def scene(stage: Stage) -> None:
        assert stage.known == [NAME]  # shown as down
        with pytest.raises(NoRelay):
            stage.uplink.choose()
        stage.names[NAME] = [ONE]
        await asyncio.sleep(RESOLVE_S)
        del stage.names[NAME]
        stage.dialer(ONE).is_up = False
        await asyncio.sleep(RESOLVE_S)
        assert stage.known == [ONE]

    play(lambda: Stage([NAME]), scene)


def test_links_are_not_relied_on_until_a_sleep_is_got_over() -> None:
    async def scene(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        awake_at = loop.time()
        await stage.uplink.sure()
        assert loop.time() == awake_at
        stage.uplink.slept()
        await stage.uplink.sure()
        assert loop.time() == awake_at + SURE_AFTER_S
        await stage.uplink.sure()
        assert loop.time() == awake_at + SURE_AFTER_S

    play(lambda: Stage([ONE]), scene)
