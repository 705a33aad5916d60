"""Holds found in a /proc of the test's own, and what is told apart from them."""

import asyncio
import contextlib
import os
from pathlib import Path

import numpy as np
import pytest

from bench.load import holds, run, summary
from bench.load.holds import Hold, Watch
from bench.load.options import Options

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="Linux only"
)
KERNELS, OTHERS = 0x0020_8040, 0x0040_0040


def thread(proc: Path, pid: int, name: str, flags: int, core: int) -> Path:
    """Have a thread that has not run yet; return what it has spent."""
    (proc / str(pid)).mkdir()
    fields = ["S", "2", "0", "0", "0", "-1", str(flags), *["0"] * 29, str(core)]
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(fields)} 0 0\n")
    spent = proc / str(pid) / "schedstat"
    spent.write_text("0 0 0\n")
    return spent


def here() -> int:
    return min(os.sched_getaffinity(0))


def found(watch: Watch) -> list[tuple[str, float]]:
    return [(hold.by, hold.ms) for hold in watch.holds]


def test_who_of_the_kernels_threads_held_a_core_is_noted(tmp_path: Path) -> None:
    elsewhere = max(os.sched_getaffinity(0)) + 1
    spent = [
        thread(tmp_path, 7, "long one", KERNELS, here()),
        thread(tmp_path, 8, "short one", KERNELS, here()),
        thread(tmp_path, 9, "ksoftirqd/0", KERNELS, here()),
        thread(tmp_path, 10, "python", OTHERS, here()),
        thread(tmp_path, 11, "far one", KERNELS, elsewhere),
    ]
    (tmp_path / "meminfo").touch()
    watch = Watch((), tmp_path)
    watch.list_threads()
    watch.look()
    for one in spent:
        one.write_text("4900000 1 1\n" if one == spent[1] else "30000000 1 1\n")
    watch.look()
    assert found(watch) == [("long one", 30.0)]
    (hold,) = watch.holds
    assert hold.to_ns - hold.from_ns >= holds.AFTER_S * 1e9
    watch.look()
    assert len(watch.holds) == 1, "each is noted once"
    watch.close()


def test_what_a_thread_did_before_it_was_watched_is_no_hold(tmp_path: Path) -> None:
    thread(tmp_path, 7, "old (one)", KERNELS, here()).write_text("90000000 1 1\n")
    watch = Watch((), tmp_path)
    watch.list_threads()
    watch.look()
    watch.look()
    assert watch.holds == []
    (tmp_path / "7" / "schedstat").write_text("96000000 1 1\n")
    watch.look()
    assert found(watch) == [("old (one)", 6.0)]
    watch.close()


def test_threads_come_and_go(tmp_path: Path) -> None:
    spent = thread(tmp_path, 7, "brief", KERNELS, here())
    watch = Watch((os.getpid(), 1 << 30), tmp_path)
    watch.list_threads()
    watch.look()
    spent.write_text("")
    watch.look()
    thread(tmp_path, 8, "new", KERNELS, here())
    watch.list_threads()
    watch.look()
    (tmp_path / "8" / "schedstat").write_text("7000000 1 1\n")
    watch.look()
    assert found(watch) == [("new", 7.0)]
    watch.close()


def test_where_nothing_is_told_of_threads_nothing_is_found(tmp_path: Path) -> None:
    watch = Watch((), tmp_path / "none")
    watch.list_threads()
    watch.look()
    assert watch.holds == []


@pytest.mark.asyncio
async def test_a_watch_leaves_no_file_open() -> None:
    before = set(os.listdir("/proc/self/fd"))
    watching = asyncio.create_task(Watch(()).run())
    await asyncio.sleep(3 * holds.LOOK_S)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    assert set(os.listdir("/proc/self/fd")) == before


def outcome(*holds: Hold, echo_after_s: float = 0.0) -> run.Outcome:
    """Return one of 3 s in which nobody called."""
    options = Options(url="http://127.0.0.1", echo_after_s=echo_after_s)
    ended = run.Outcome(options, run.load_voice(options), [])
    ended.from_ns, ended.to_ns, ended.holds = 0, 3_000_000_000, list(holds)
    return ended


def test_what_was_heard_beside_a_hold_is_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    delays = np.array([(0.5, 8.0), (1.5, 90.0), (2.5, 8.0)])
    monkeypatch.setattr(summary, "_delays", lambda _: delays)
    waits = np.array([(0.5, 20.0), (1.5, 70.0), (2.5, 21.0)])
    assert summary.Heard.of(delays, waits).gaps == 1
    hold = Hold(1_400_000_000, 1_800_000_000, 30.0, "kdamond.0")
    long_ago = Hold(-9_000_000_000, -8_000_000_000, 99.0, "kdamond.0")
    figures = summary.summarize(outcome(hold, long_ago))
    assert figures.holds == [hold]
    assert figures.delay is not None
    assert figures.delay.max == 90.0
    assert figures.apart is not None
    assert figures.apart.delay is not None
    assert (figures.apart.delay.count, figures.apart.delay.max) == (2, 8.0)
    told = summary.as_text(figures)
    assert "1 x a core by the kernel, 30 ms at most (kdamond.0)" in told
    assert "apart from that, delay p50 8.0" in told
    apart = summary._without(waits, [hold[:2]])
    assert apart[:, 1].tolist() == [20.0, 21.0]


def test_an_echo_says_a_hold_back(monkeypatch: pytest.MonkeyPatch) -> None:
    delays = np.array([(0.5, 8.0), (1.5, 90.0), (2.5, 9.0)])
    monkeypatch.setattr(summary, "_delays", lambda _: delays)
    hold = Hold(-600_000_000, -200_000_000, 30.0, "kdamond.0")
    assert summary.summarize(outcome(hold)).holds == []
    figures = summary.summarize(outcome(hold, echo_after_s=2.0))
    assert figures.holds == [hold]
    assert figures.apart is not None
    assert figures.apart.delay is not None
    assert (figures.apart.delay.count, figures.apart.delay.max) == (2, 9.0)


def test_where_nothing_else_was_heard_nothing_is_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(summary, "_delays", lambda _: np.array([(0.5, 8.0)]))
    figures = summary.summarize(outcome(Hold(0, 3_000_000_000, 30.0, "kdamond.0")))
    assert figures.apart is None
    assert "apart" not in summary.as_text(figures)
    assert summary.summarize(outcome()).apart is None
