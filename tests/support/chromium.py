"""A real Chromium or Chrome: found on this machine, driven headless, not downloaded."""

import ctypes
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

COMMANDS = ("chromium", "google-chrome", "chromium-browser", "google-chrome-stable")
MACOS = (
    Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
    Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
)

DRIVER_LIBRARY = "libatomic.so.1"
"""What Playwright's driver links on Linux; in Debian's and Ubuntu's libatomic1."""


def find() -> Path | None:
    """Return the first browser of the usual names and places, or None."""
    for command in COMMANDS:
        if found := shutil.which(command):
            return Path(found)
    return next((path for path in MACOS if path.exists()), None)


def driver_lacks_its_library() -> bool:
    """Tell whether Playwright cannot start here, whatever the browser."""
    if sys.platform != "linux":
        return False
    try:
        ctypes.CDLL(DRIVER_LIBRARY)
    except OSError:
        return True
    return False


def lacking() -> str | None:
    """Return what has to be installed before a browser can be driven, or None."""
    if driver_lacks_its_library():
        return f"Playwright's driver needs {DRIVER_LIBRARY}: install libatomic1"
    if find() is None:
        return f"no Chromium or Chrome found (looked for {', '.join(COMMANDS)})"
    return None


def require() -> Path:
    """Return the browser, or skip the test and say what is missing.

    Where TANDEM_REQUIRE_ALL=1 is set, tests/conftest.py makes the skip a failure.
    """
    found = find()
    if reason := lacking():
        pytest.skip(reason)
    assert found is not None
    return found


@asynccontextmanager
async def launched(
    executable: Path, microphone: Path | None = None
) -> AsyncIterator[Browser]:
    """Run a headless browser that grants the microphone without asking.

    Args:
        executable: As found by `require`.
        microphone: WAV file played once, from the moment a page opens the microphone;
            None: the browser's own beeping device.
    """
    arguments = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    if microphone is not None:
        arguments.append(f"--use-file-for-fake-audio-capture={microphone}%noloop")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable,
            args=arguments,
            ignore_default_args=["--mute-audio"],  # muted, nothing reaches Web Audio
        )
        try:
            yield browser
        finally:
            await browser.close()
