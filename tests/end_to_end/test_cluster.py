"""A small cluster in network namespaces, rolled and broken under live calls."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bench.cluster.network import NetworkError, network
from tests.support.services import ROOT

PATIENT = ("--calls=4", "--hold-s=1.5", "--moved-s=10")
"""Fewer calls, and no timing: the machine may have other things to do."""

RUN_S = 240.0


def reason_not_here() -> str:
    """Return why there can be no cluster here; empty: there can."""
    try:
        with network():
            return ""
    except NetworkError as error:
        return str(error)


@pytest_asyncio.fixture
async def cluster() -> AsyncIterator[asyncio.subprocess.Process]:
    """A run of the scenario, in a process group of its own as in a terminal."""
    if reason := reason_not_here():
        pytest.skip(reason)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.cluster", *PATIENT),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGINT)
            await process.wait()


def left_behind(process: asyncio.subprocess.Process) -> list[str]:
    """Return the namespaces that a run has not removed."""
    listed = subprocess.run(
        ("ip", "netns", "list"), capture_output=True, text=True, check=True
    )
    mine = f"tandem-{process.pid}-"
    return [line for line in listed.stdout.splitlines() if line.startswith(mine)]


@pytest.mark.asyncio
async def test_no_call_is_lost_by_rolling_draining_and_failing_services(
    cluster: asyncio.subprocess.Process,
) -> None:
    async with asyncio.timeout(RUN_S):
        said, _ = await cluster.communicate()
    told = said.decode()
    assert cluster.returncode == 0, told
    assert told.count("packets back") == 1
    assert "new call there: HTTP 503" in told
    assert "new calls at edge-2, served" in told
    assert left_behind(cluster) == []


@pytest.mark.asyncio
async def test_an_interrupted_run_leaves_no_namespace(
    cluster: asyncio.subprocess.Process,
) -> None:
    assert cluster.stdout is not None
    async with asyncio.timeout(RUN_S):
        await cluster.stdout.readline()  # the services are being started
        assert left_behind(cluster)
        os.killpg(cluster.pid, signal.SIGINT)
        await cluster.communicate()
    assert cluster.returncode == 130
    assert left_behind(cluster) == []


def test_who_may_make_no_namespaces_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NetworkError, match="only root"), network():
        pass
