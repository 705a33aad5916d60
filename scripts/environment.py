"""Create .venv and install one lock into it: what `make` does before everything else.

The lock of the foreign clients goes into an environment of its own, .venv/interop: what
they pin has no say in what Tandem runs with, and the tests meet them over the wire. So
does each server that the benchmark compares Tandem with: .venv/compare/NAME.

Runs on the system's Python with the standard library alone. Debian and Ubuntu keep a
part of that library (ensurepip) in a package of its own: as root it is installed,
otherwise the command is named. Only files whose hashes stand in the lock are installed,
and only wheels, so that no compiler is needed. A lock is complete: pip looks for
nothing beside it, not even for what it leaves out on purpose (see pyproject.toml).
"""

import argparse
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
INTEROP_VENV = VENV / "interop"
REQUIREMENTS = ROOT / "requirements"

LOCKS = tuple(sorted(lock.stem for lock in REQUIREMENTS.glob("*.txt")))

OLDEST, BEYOND = (3, 11), (3, 15)
"""The oldest Python that Tandem runs on; the first without wheels of the models."""


class SetupError(Exception):
    """The environment cannot be made here; the message says what to do."""


def main() -> int:
    """Create the environment, then install the lock that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "lock", nargs="?", choices=LOCKS, help="what to install; none: only create"
    )
    arguments = parser.parse_args()
    folder = folder_of(arguments.lock)
    try:
        create(folder)
        if arguments.lock:
            install(folder, REQUIREMENTS / f"{arguments.lock}.txt")
    except SetupError as error:
        sys.stderr.write(f"setup: {error}\n")
        return 1
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"setup: `{error.cmd[0]}` failed, see above\n")
        return 1
    return 0


def folder_of(lock: str | None) -> Path:
    """Return the environment that a lock goes into."""
    if lock == "interop":
        return INTEROP_VENV
    if lock is not None and lock.startswith("compare-"):
        return VENV / "compare" / lock.removeprefix("compare-")
    return VENV


def python(folder: Path) -> Path:
    """Return the Python of an environment."""
    return folder / "bin" / "python"


def create(folder: Path) -> None:
    """Create an environment, unless a working one is there.

    Raises:
        SetupError: This Python does not fit, or lacks ensurepip for us to install.
    """
    if not OLDEST <= sys.version_info[:2] < BEYOND:
        raise SetupError(
            f"{sys.executable} is Python {platform.python_version()}; 3.11 to 3.14 is "
            "needed; name another one: make PYTHON=/path/to/python3.11 ..."
        )
    if _succeeds([str(python(folder)), "-m", "pip", "--version"]):
        return
    if importlib.util.find_spec("ensurepip") is None:
        install_system_package(f"python3.{sys.version_info.minor}-venv")
    say(f"creating {folder.relative_to(ROOT)}")
    venv.create(folder, clear=True, with_pip=True, symlinks=True)


def install(folder: Path, lock: Path) -> None:
    """Install a lock; each download is a line, so that a slow network is seen."""
    say(f"installing {lock.relative_to(ROOT)}; what is not cached is downloaded")
    command = [str(python(folder)), "-m", "pip", "--disable-pip-version-check"]
    command += ["install", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    command += [f"--requirement={lock}"]
    unbuffered = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=unbuffered
    ) as pip:
        for line in pip.stdout or ():
            words = line.split()
            if words[:1] == ["Downloading"] and not words[1].endswith(".metadata"):
                name = "-".join(words[1].split("-")[:2])
                say(f"  {name} {' '.join(words[2:])}")
            elif words[:2] == ["Installing", "collected"]:
                say("  unpacking")
    if pip.returncode:
        raise subprocess.CalledProcessError(pip.returncode, ["pip install"])


def install_system_package(*packages: str) -> None:
    """Install Debian packages as root.

    Raises:
        SetupError: Not root, or no apt-get: names the command.
    """
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise SetupError(f"please install what Debian calls {names}")
    if os.geteuid() != 0:
        raise SetupError(f"please run once: sudo apt-get install {names}")
    say(f"installing {names}")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["install", "-y", "--no-install-recommends", *packages]
    for command in (["update"], install):
        subprocess.run(
            ["apt-get", "-qq", *command],
            check=True,
            env=quiet,
            stdout=subprocess.DEVNULL,  # a line a package; errors go to standard error
        )


def say(line: str) -> None:
    """Tell the user what takes time now."""
    print(f"setup: {line}", flush=True)


def _succeeds(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return done.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
