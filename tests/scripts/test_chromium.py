"""What `make test` installs for the browser tests, and where it does not."""

import pathlib

import pytest

from scripts import chromium, environment
from tests.support import chromium as browser


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "find", lambda: None)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(browser, "DRIVER_LIBRARY", "libnone.so")
    monkeypatch.setattr(chromium, "_distribution", lambda: "debian")


def test_a_bare_debian_gets_browser_and_library() -> None:
    assert chromium.missing_packages() == ["libatomic1", "chromium"]


def test_a_bare_ubuntu_gets_the_library_but_no_snap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chromium, "_distribution", lambda: "ubuntu")
    assert chromium.missing_packages() == ["libatomic1"]


def test_macos_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(chromium, "_distribution", lambda: "")
    assert chromium.missing_packages() == []


def test_a_browser_that_is_there_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "find", lambda: pathlib.Path("/usr/bin/chromium"))
    assert chromium.missing_packages() == ["libatomic1"]


def test_a_user_is_told_what_to_install_and_the_tests_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*packages: str) -> None:
        raise environment.SetupError(f"please run once: {' '.join(packages)}")

    monkeypatch.setattr(chromium, "install_system_package", refuse)
    assert chromium.main() == 0
    printed = capsys.readouterr().out
    assert "please run once: libatomic1 chromium" in printed
    assert "the browser tests will be skipped" in printed
