"""Set-up refuses in one line what it cannot do, and says what would help."""

import importlib.util
import os
import pathlib
import shutil
import sys

import pytest

from scripts import environment


@pytest.mark.parametrize("version", [(3, 10, 12), (3, 15, 0)])
def test_a_python_without_wheels_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, version: tuple[int, ...]
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(environment.SetupError, match="make PYTHON="):
        environment.create(tmp_path / "none")


def test_a_user_is_told_how_to_get_a_missing_ensurepip(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    package = f"python3.{sys.version_info.minor}-venv"
    with pytest.raises(environment.SetupError, match=f"apt-get install {package}"):
        environment.create(tmp_path / "none")


def test_where_there_is_no_apt_the_package_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(environment.SetupError, match="chromium"):
        environment.install_system_package("chromium")


@pytest.mark.parametrize(
    ("lock", "folder"),
    [
        ("dev", ".venv"),
        ("interop", ".venv/interop"),
        ("compare-aiortc", ".venv/compare/aiortc"),
    ],
)
def test_what_is_foreign_gets_an_environment_of_its_own(
    monkeypatch: pytest.MonkeyPatch, lock: str, folder: str
) -> None:
    done: list[tuple[str, ...]] = []

    def name(path: pathlib.Path) -> str:
        return str(path.relative_to(environment.ROOT))

    monkeypatch.setattr(
        environment, "create", lambda *at: done.append((*map(name, at),))
    )
    monkeypatch.setattr(
        environment, "install", lambda *at: done.append((*map(name, at),))
    )
    monkeypatch.setattr(sys, "argv", ["environment", lock])
    assert environment.main() == 0
    assert done == [(folder,), (folder, f"requirements/{lock}.txt")]
