"""Install what the browser tests need, where that is ours to do: as root, with apt-get.

Debian's `chromium` package is the real browser. Ubuntu's only leads to a snap, which
containers and most servers cannot run: there, as anywhere else, a Chrome or Chromium
has to be on the machine already. Playwright's driver needs a library that bare images
lack.
"""

import platform
import subprocess
import sys

from scripts.environment import SetupError, install_system_package, say
from tests.support import chromium


def main() -> int:
    """Install what is missing, or say so; the tests then say what they skip."""
    try:
        if packages := missing_packages():
            install_system_package(*packages)
    except SetupError as error:
        say(f"the browser tests lack something: {error}")
    except subprocess.CalledProcessError:
        say("the browser tests lack something: apt-get failed, see above")
    if chromium.find() is None:
        say("no Chrome or Chromium found: the browser tests will be skipped")
    return 0


def missing_packages() -> list[str]:
    """Return the Debian packages that this Linux lacks; elsewhere nothing."""
    packages = []
    if chromium.driver_lacks_its_library():
        packages.append("libatomic1")
    if chromium.find() is None and _distribution() == "debian":
        packages.append("chromium")
    return packages


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["ID"]
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
