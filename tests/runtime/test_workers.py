"""What the supervisor does when a worker cannot be forked, and when one hangs."""

import errno
import os
import signal
import socket
from collections.abc import Iterator
from types import ModuleType

import pytest

from runtime import workers
from runtime.pulse import BEAT_S, ENDING_LOOKS, SLOW_LOOKS, STILL_LOOKS
from runtime.table import Phase, Table
from runtime.worker import Common


@pytest.fixture
def supervisor() -> Iterator[workers._Supervisor]:
    """Yield one of two workers that have not been forked."""
    made = workers._Supervisor(Common(Table(2), {}, ()))
    yield made
    for end in (made._signalled, made._wakeup):
        end.close()


@pytest.mark.parametrize(
    ("owner", "call", "why"),
    [(os, "fork", errno.EAGAIN), (socket, "socketpair", errno.ENFILE)],
)
def test_a_machine_without_room_for_a_process_ends_no_worker(
    supervisor: workers._Supervisor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    owner: ModuleType,
    call: str,
    why: int,
) -> None:
    def full() -> int:
        raise OSError(why, "no room")

    monkeypatch.setattr(owner, call, full)
    monkeypatch.setattr(workers, "_now", lambda: 100.0)
    assert supervisor._start(1) is None
    assert supervisor._crew.due(100.0) == [0]
    assert not supervisor._crew.is_ending
    assert "worker cannot be forked yet" in caplog.text


def test_a_worker_that_hangs_is_killed_once_and_no_other(
    supervisor: workers._Supervisor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *order: killed.append(order))
    table = supervisor._common.table
    for worker in (0, 1):
        supervisor._crew.started(worker, 100 + worker, 0.0)
        table.enter(worker, Phase.RUNNING)
        table.beat(worker)
    for look in range(2 * STILL_LOOKS):
        table.beat(0)
        supervisor._feel(look * BEAT_S)
    assert killed == [(101, signal.SIGKILL)]
    assert caplog.text.count("worker hangs, is ended") == 1


def test_a_worker_that_hangs_is_killed_sooner_once_all_are_to_end(
    supervisor: workers._Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *order: killed.append(order))
    supervisor._crew.started(1, 101, 0.0)
    supervisor._common.table.enter(1, Phase.RUNNING)
    supervisor._common.table.beat(1)
    supervisor._drain()
    for look in range(ENDING_LOOKS + 1):
        assert killed == []
        supervisor._feel(look * BEAT_S)
    assert killed == [(101, signal.SIGKILL)]


def test_one_that_hangs_as_it_starts_is_killed_when_it_has_had_its_time(
    supervisor: workers._Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *order: killed.append(order))
    monkeypatch.setattr(os, "fork", lambda: 101)
    clock = iter(range(10 * SLOW_LOOKS))

    def look(times: int) -> None:
        for _ in range(times):
            supervisor._feel(next(clock) * BEAT_S)

    look(SLOW_LOOKS - 1)  # it waits for its start, and nobody is to blame
    assert supervisor._start(1) is None
    look(SLOW_LOOKS - 1)
    assert killed == []
    look(2)
    supervisor._hang_up(1)
    assert killed == [(101, signal.SIGKILL)]
