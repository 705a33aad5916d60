"""What is compiled when, what never stays, and what is said where nothing can be."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable

import pytest
from Cython.Compiler.Errors import CompileError
from setuptools.errors import BaseError, CCompilerError

from scripts import compile as script


@pytest.fixture
def tree(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setattr(script, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["compile"])
    (tmp_path / "transceiver").mkdir()
    written(tmp_path / "transceiver" / "lane.pyx", 100)
    return tmp_path


@pytest.fixture
def built(tree: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let any command compile, and note what is asked for."""
    names: list[str] = []

    def build(due: Iterable[script.Module], root: pathlib.Path, compiler: str) -> None:
        names.extend(module.name for module in due)

    monkeypatch.setattr(script, "compiles", lambda compiler: True)
    monkeypatch.setattr(script, "build", build)
    return names


def written(path: pathlib.Path, modified_s: int) -> pathlib.Path:
    path.touch()
    os.utime(path, (modified_s, modified_s))
    return path


def result(tree: pathlib.Path, modified_s: int, name: str = "lane") -> pathlib.Path:
    return written(tree / "transceiver" / f"{name}{script.SUFFIX}", modified_s)


def test_what_was_never_compiled_is(tree: pathlib.Path, built: list[str]) -> None:
    (tree / "proto" / "deep").mkdir(parents=True)
    written(tree / "proto" / "deep" / "lane.pyx", 100)
    assert script.main() == 0
    assert built == ["proto.deep.lane", "transceiver.lane"]


def test_shared_fields_come_first_and_take_what_knows_them_along(
    tree: pathlib.Path, built: list[str]
) -> None:
    fields, lane = result(tree, 200, "fields"), result(tree, 200)
    source = written(tree / "transceiver" / "fields.py", 100)
    assert script.main() == 0
    assert built == []
    assert fields.exists()
    written(source, 300)
    assert script.main() == 0
    assert built == ["transceiver.fields", "transceiver.lane"]
    assert not fields.exists()
    assert not lane.exists()


def test_what_is_up_to_date_is_left(tree: pathlib.Path, built: list[str]) -> None:
    path = result(tree, 100)
    assert script.main() == 0
    assert built == []
    assert path.exists()


def test_what_is_older_than_its_source_is_compiled_again(
    tree: pathlib.Path, built: list[str]
) -> None:
    path = result(tree, 99)
    assert script.main() == 0
    assert built == ["transceiver.lane"]
    assert not path.exists()  # until it is put in place


def test_what_is_older_than_a_shared_declaration_is_compiled_again(
    tree: pathlib.Path, built: list[str]
) -> None:
    result(tree, 100)
    written(tree / "transceiver" / "shared.pxd", 101)
    assert script.main() == 0
    assert built == ["transceiver.lane"]


def test_what_another_python_compiled_is_not_taken_for_this_one_s(
    tree: pathlib.Path, built: list[str]
) -> None:
    other = written(tree / "transceiver" / "lane.cpython-39-other.so", 100)
    assert script.main() == 0
    assert built == ["transceiver.lane"]
    assert other.exists()


def test_without_a_compiler_nothing_out_of_date_stays(
    tree: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "none-such-compiler")
    orphan, stale = result(tree, 999, "gone"), result(tree, 99)
    script.main()
    assert not orphan.exists()
    assert not stale.exists()


@pytest.mark.parametrize(("option", "code"), [([], 0), (["--required"], 1)])
def test_without_a_compiler_one_line_says_what_is_lost_and_what_helps(
    tree: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: list[str],
    code: int,
) -> None:
    monkeypatch.setattr(sys, "argv", ["compile", *option])
    monkeypatch.setenv("CC", "none-such-compiler")
    assert script.main() == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"compile: {script.lack(sys.platform)}\n"


@pytest.mark.parametrize(
    ("platform", "remedy"),
    [
        ("linux", f"apt-get install gcc python3.{sys.version_info.minor}-dev"),
        ("darwin", "xcode-select --install"),
    ],
)
def test_each_system_is_told_what_it_calls_a_compiler(
    platform: str, remedy: str
) -> None:
    assert script.lack(platform).endswith(remedy)
    assert "a sixth fewer calls" in script.lack(platform)


def test_a_compiler_without_python_s_headers_is_none(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    for compiler in script.candidates({}):
        assert not script.compiles(compiler)


def test_an_up_to_date_tree_needs_no_compiler(
    tree: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["compile", "--required"])
    monkeypatch.setenv("CC", "none-such-compiler")
    result(tree, 100)
    assert script.main() == 0


def test_a_compiler_that_was_asked_for_is_the_only_one() -> None:
    assert script.candidates({"CC": "clang -pipe"}) == ["clang -pipe"]
    assert script.candidates({"CC": " "})[-1] == "cc"


@pytest.mark.parametrize("option", [[], ["--required"]])
@pytest.mark.parametrize("error", [CompileError, CCompilerError, BaseError])
def test_what_does_not_compile_is_a_failure(
    tree: pathlib.Path,
    built: list[str],
    monkeypatch: pytest.MonkeyPatch,
    option: list[str],
    error: type[Exception],
) -> None:
    def build(due: Iterable[script.Module], root: pathlib.Path, compiler: str) -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["compile", *option])
    monkeypatch.setattr(script, "build", build)
    assert script.main() == 1


def test_what_is_compiled_runs_on_any_cpu_and_counts_as_python_does() -> None:
    assert not [flag for flag in script.FLAGS if flag.startswith("-m")]
    assert "-ffp-contract=off" in script.FLAGS


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_clean_removes_what_was_compiled_and_no_source(
    tree: pathlib.Path,
) -> None:
    packages = ("codec", "deploy", "proto", "relay", "runtime")
    for package in packages:
        (tree / package).mkdir()
    shutil.copy(pathlib.Path(script.__file__).parents[1] / "Makefile", tree)
    path = result(tree, 100)
    (tree / ".cache" / "compile-interrupted").mkdir(parents=True)
    subprocess.run(["make", "--silent", "clean"], cwd=tree, check=True)
    assert not path.exists()
    assert not (tree / ".cache").exists()
    assert (tree / "transceiver" / "lane.pyx").exists()
