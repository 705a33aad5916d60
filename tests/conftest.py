"""What holds for every test: nothing is left behind, and CI skips nothing that matters.

A test that leaves an asyncio task, a socket or a thread behind fails, whatever it
asserted. With TANDEM_REQUIRE_ALL=1 (as in CI) a test with a real browser, speech
model or peer that is skipped fails too: a skip would hide that it never ran.
"""

import asyncio
import os
import stat
import threading
from collections.abc import AsyncIterator, Generator, Iterator

import pytest
import pytest_asyncio

LINGER_S = 10.0
"""How long what is ending may take to end; only a leak takes it all."""

NEVER_SKIPPED = ("browser", "interop", "speech")


@pytest.fixture(autouse=True)
def no_leaked_threads() -> Iterator[None]:
    """Fail the test when a thread that it started is still running."""
    before = set(threading.enumerate())
    yield
    leaked = [thread for thread in threading.enumerate() if thread not in before]
    for thread in leaked:
        thread.join(LINGER_S)
    names = [thread.name for thread in leaked if thread.is_alive()]
    if names:
        pytest.fail(f"leaked threads: {', '.join(sorted(names))}")


@pytest.fixture(autouse=True)
def no_leaks_in_the_loop(
    no_leaked_threads: None, request: pytest.FixtureRequest
) -> None:
    """Watch the loop of an asyncio test; ordered before the test's own fixtures."""
    marker = request.node.get_closest_marker("asyncio")
    if marker is not None and marker.kwargs.get("loop_scope", "function") == "function":
        request.getfixturevalue("no_leaked_tasks_or_sockets")


@pytest_asyncio.fixture
async def no_leaked_tasks_or_sockets() -> AsyncIterator[None]:
    """Fail the test when a task of its loop, or a socket, is still there."""
    before = open_sockets()
    yield
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        _, tasks = await asyncio.wait(tasks, timeout=LINGER_S)
    if tasks:
        names = sorted(repr(task.get_coro()) for task in tasks)
        pytest.fail(f"leaked tasks: {', '.join(names)}")
    loop = asyncio.get_running_loop()
    end_s = loop.time() + LINGER_S
    while (sockets := open_sockets() - before) and loop.time() < end_s:  # noqa: ASYNC110  # no event tells
        await asyncio.sleep(0)  # a transport closes its socket some turns after close()
    if sockets:
        pytest.fail(f"leaked {len(sockets)} open sockets")


def open_sockets() -> set[tuple[int, int]]:
    """Return the sockets of this process: descriptor and inode."""
    found = set()
    for name in os.listdir("/dev/fd"):
        try:
            status = os.fstat(int(name))
        except OSError:  # the descriptor of this very listing
            continue
        if stat.S_ISSOCK(status.st_mode):
            found.add((int(name), status.st_ino))
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test with a real peer into a failure, where that is asked."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and _skips_are_failures():
        markers = [name for name in NEVER_SKIPPED if item.get_closest_marker(name)]
        if markers:
            report.outcome = "failed"
            report.longrepr = f"{markers[0]} test skipped: {_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole file into a failure, where that is asked."""
    report = yield
    if report.skipped and _skips_are_failures():
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} skipped: {_reason(report)}"
    return report


def _skips_are_failures() -> bool:
    return os.environ.get("TANDEM_REQUIRE_ALL") == "1"


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    where = report.longrepr
    return str(where[2]) if isinstance(where, tuple) else str(where)
