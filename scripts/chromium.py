"""Find the browser that the browser tests drive; as root on Debian, install it.

Debian's `chromium` package is the real browser; Ubuntu's only leads to a snap, which
neither containers nor most servers can run, so there a browser has to be there already.
"""

import os
import platform
import shutil
import subprocess
import sys

from scripts.environment import SetupError, install_system_package, say

VARIABLE = "TANDEM_CHROMIUM"
"""Names the browser's executable when it is not in a usual place."""

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
    "chrome",
)
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


def find() -> str | None:
    """Return the path of Chromium or Chrome, or None."""
    for candidate in (os.environ.get(VARIABLE, ""), *NAMES, *PLACES):
        found = shutil.which(candidate) if candidate else None
        if found:
            return found
    return None


def main() -> int:
    """Say which browser the tests will use; install one where that is ours to do."""
    if find() is None and os.geteuid() == 0 and _is_debian():
        try:
            install_system_package("chromium")
        except (SetupError, subprocess.CalledProcessError) as error:
            say(f"no browser could be installed: {error}")
    if find() is None:
        say(f"no Chrome or Chromium found (or in {VARIABLE}): its tests are skipped")
    return 0


def _is_debian() -> bool:
    try:
        return platform.freedesktop_os_release()["ID"] == "debian"
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
