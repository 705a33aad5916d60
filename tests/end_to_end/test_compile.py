"""A module is really compiled and imported; one that is wrong says why."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from scripts import compile as script

pytestmark = pytest.mark.skipif(
    not any(map(script.compiles, script.candidates(os.environ))),
    reason="needs a C compiler and Python.h",
)


def tree(folder: pathlib.Path, source: str) -> pathlib.Path:
    """Return a checkout of one module to compile."""
    for package in ("scripts", "transceiver"):
        (folder / package).mkdir()
        (folder / package / "__init__.py").touch()
    shutil.copy(script.__file__, folder / "scripts")
    (folder / "transceiver" / "lane.pyx").write_text(source)
    return folder


def run(folder: pathlib.Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_module_is_compiled_beside_its_source_and_nothing_else_is_left(
    tmp_path: pathlib.Path,
) -> None:
    folder = tree(tmp_path, "cpdef long twice(long value):\n    return 2 * value\n")
    done = run(folder, "-m", "scripts.compile", "--required")
    assert done.returncode == 0, done.stderr
    assert "compile: compiling transceiver.lane\n" in done.stderr
    left = {path.name for path in (folder / "transceiver").iterdir()}
    assert left == {"__init__.py", "lane.pyx", f"lane{script.SUFFIX}"}
    assert list((folder / ".cache").iterdir()) == []
    used = run(folder, "-c", "from transceiver import lane; print(lane.twice(21))")
    assert used.stdout == "42\n", used.stderr
    assert run(folder, "-m", "scripts.compile").stderr == ""


def test_a_source_that_cython_refuses_is_shown_and_fails(
    tmp_path: pathlib.Path,
) -> None:
    folder = tree(tmp_path, "cdef int twice(:\n")
    done = run(folder, "-m", "scripts.compile")
    assert done.returncode == 1
    assert "transceiver/lane.pyx:1:" in done.stderr
    assert "Traceback" not in done.stderr


def test_c_that_the_compiler_refuses_is_shown_and_fails(
    tmp_path: pathlib.Path,
) -> None:
    folder = tree(
        tmp_path, 'cdef extern from *:\n    """\n    #error no such\n    """\n'
    )
    done = run(folder, "-m", "scripts.compile")
    assert done.returncode == 1
    assert "no such" in done.stderr
    assert "Traceback" not in done.stderr
    left = {path.name for path in (folder / "transceiver").iterdir()}
    assert left == {"__init__.py", "lane.pyx"}
