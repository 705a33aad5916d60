"""Install the browser that the browser tests drive, where that is ours to do.

Debian's `chromium` package is the real browser, so root gets it installed. Ubuntu's
only leads to a snap, which containers and most servers cannot run: there, as anywhere
else, a Chrome or Chromium has to be on the machine already.
"""

import os
import platform
import subprocess
import sys

from scripts.environment import SetupError, install_system_package, say
from tests.support import chromium


def main() -> int:
    """Install a browser if need be; without one, the tests say what they miss."""
    if chromium.find() is None and os.geteuid() == 0 and _is_debian():
        try:
            install_system_package("chromium")
        except (SetupError, subprocess.CalledProcessError) as error:
            say(f"no browser could be installed: {error}")
    if chromium.find() is None:
        say("no Chrome or Chromium found: the browser tests will be skipped")
    return 0


def _is_debian() -> bool:
    try:
        return platform.freedesktop_os_release()["ID"] == "debian"
    except OSError:
        return False


if __name__ == "__main__":
    sys.exit(main())
