"""How fast cores are, as it is noted and as it is told."""

import math
import os
import time
from pathlib import Path

import numpy as np
import pytest

from bench.compare import rows
from bench.compare.awake import awake
from bench.compare.limit import Limits
from bench.compare.pace import NOTE, Pace


def noted(
    path: Path, *took_ms: float, at_s: float = 0.05, every_s: float = 0.1
) -> Path:
    """Write notes made one after the other."""
    notes = [(at_s + n * every_s, took / 1000) for n, took in enumerate(took_ms)]
    path.write_bytes(np.array(notes, NOTE).tobytes())
    return path


def test_a_core_is_as_slow_as_its_work_against_the_best_of_all_time(
    tmp_path: Path,
) -> None:
    pace = Pace({0: noted(tmp_path / "0", *[3.0] * 10, *[6.0] * 10)})
    assert pace.slowness(0, 0.0, 1.0) == pytest.approx(1.0)
    assert pace.slowness(0, 1.0, 2.0) == pytest.approx(2.0)


def test_a_second_of_which_little_was_left_over_counts_as_much_as_any(
    tmp_path: Path,
) -> None:
    pace = Pace({0: noted(tmp_path / "0", *[3.0] * 10, 9.0)})
    assert pace.slowness(0, 0.0, 2.0) == pytest.approx(2.0)


def test_the_slowest_second_is_told_by_itself(tmp_path: Path) -> None:
    pace = Pace({0: noted(tmp_path / "0", *[3.0] * 20, *[4.5] * 10, *[3.0] * 10)})
    assert pace.slowness(0, 0.0, 4.0) == pytest.approx(1.125)
    assert pace.slowest(0, 0.0, 4.0) == pytest.approx(1.5)
    assert pace.slowest(0, 0.0, 2.0) == pytest.approx(1.0)


def test_each_core_has_a_pace_of_its_own(tmp_path: Path) -> None:
    calm = noted(tmp_path / "0", *[3.0] * 20)
    busy = noted(tmp_path / "1", *[5.0] * 10, *[7.0] * 10)
    pace = Pace({0: calm, 1: busy})
    assert pace.slowness(0, 1.0, 3.0) == pytest.approx(1.0)
    assert pace.slowness(1, 1.0, 3.0) == pytest.approx(1.4)


def test_of_a_time_without_notes_nothing_is_known(tmp_path: Path) -> None:
    assert Pace({0: noted(tmp_path / "0", 3.0)}).slowness(0, 5.0, 9.0) == 0.0
    assert Pace({0: noted(tmp_path / "0", 3.0)}).slowest(0, 5.0, 9.0) == 0.0


def test_a_note_that_is_just_being_made_is_left_out(tmp_path: Path) -> None:
    path = noted(tmp_path / "0", 3.0, 3.0)
    path.write_bytes(path.read_bytes()[:-5])
    assert Pace({0: path}).slowness(0, 0.0, 9.0) == pytest.approx(1.0)


def test_cores_that_are_kept_awake_tell_their_pace() -> None:
    core = min(os.sched_getaffinity(0))
    with awake([core]) as pace:
        while not (slowness := pace.slowness(core, 0.0, math.inf)):
            time.sleep(0.01)
    assert slowness >= 1.0


def test_a_limit_is_that_of_calm_passes_if_there_are_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = iter([2.0, 9.0, 2.2, 9.0, 2.4, 9.0])
    monkeypatch.setattr("bench.compare.limit.cpu_ms", lambda *_: next(passes))
    monkeypatch.setattr("bench.compare.limit.AROUND_S", 0.0)
    slowness = iter([1.0, 1.9, 1.0, 1.9, 1.0, 1.9])
    monkeypatch.setattr(Pace, "slowness", lambda *_: next(slowness))
    encoding = rows.ENCODINGS[0]
    limits = Limits((encoding,), min(os.sched_getaffinity(0)), Pace({}))
    limits.measure()
    limits.measure()
    assert limits.cpu_ms() == {str(encoding): pytest.approx(2.2)}
