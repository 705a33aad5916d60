"""What the supervisor does when a worker cannot be forked."""

import errno
import os

import pytest

from runtime import workers
from runtime.table import Table
from runtime.worker import Common


def test_a_machine_without_room_for_a_process_ends_no_worker(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full() -> int:
        raise BlockingIOError(errno.EAGAIN, "no room")

    monkeypatch.setattr(os, "fork", full)
    monkeypatch.setattr(workers, "_now", lambda: 100.0)
    supervisor = workers._Supervisor(Common(Table(2), {}, ()))
    assert supervisor._start(1) is None
    assert supervisor._crew.due(100.0) == [0]
    assert not supervisor._crew.is_ending
    assert "worker cannot be forked yet" in caplog.text
    for end in (supervisor._signalled, supervisor._wakeup):
        end.close()
