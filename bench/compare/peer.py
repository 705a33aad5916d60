"""One echo server under measurement: a process of its own, on a core of its own."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.services import free_ports

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).parent / "peers"
SUFFIX = "_echo"
OWN = "tandem"

READY_S = 60.0
"""How long a server may take to say that it is ready (imports on slow disks)."""

STOP_S = 10.0


class PeerError(Exception):
    """The server cannot be run here; the message says why."""


class Running(NamedTuple):
    """A server that is ready.

    Attributes:
        pids: By name; the first is the one measured.
    """

    url: str
    codec: str
    pids: dict[str, int]


def names() -> list[str]:
    """Return the peers that there are files for; this project's own first."""
    found = (path.stem.removesuffix(SUFFIX) for path in PEERS.glob(f"*{SUFFIX}.py"))
    return sorted(found, key=lambda name: (name != OWN, name))


def python(name: str) -> Path:
    """Return the Python that a peer runs on.

    Raises:
        PeerError: Its environment is not there.
    """
    if name == OWN:
        return Path(sys.executable)
    found = ROOT / ".venv" / "compare" / name / "bin" / "python"
    if not found.exists():
        raise PeerError(f"not installed: requirements/compare-{name}.txt")
    return found


@contextlib.contextmanager
def running(name: str, environ: Mapping[str, str], core: int) -> Iterator[Running]:
    """Run a peer on one core for the length of a block.

    Raises:
        PeerError: It does not get ready.
    """
    http, udp = free_ports(2)
    script = PEERS / f"{name}{SUFFIX}.py"
    command = ["taskset", "--cpu-list", str(core), str(python(name)), str(script)]
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(
            [*command, str(http), str(udp)],
            cwd=ROOT,
            env=_clean(environ) | ({"PYTHONPATH": str(ROOT)} if name == OWN else {}),
            stdout=subprocess.PIPE,
            stderr=complaints,
        ) as process,
    ):
        try:
            ready = _ready(process)
            if ready is None:
                complaints.seek(0)
                last = complaints.read().strip().rpartition("\n")[2]
                raise PeerError(f"did not get ready: {last or 'it said nothing'}")
            yield Running(f"http://127.0.0.1:{http}", ready["codec"], ready["pids"])
        finally:
            _stop(process)


def move(pid: int, cores: set[int]) -> None:
    """Let all threads of a process run on other cores."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def _clean(environ: Mapping[str, str]) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TANDEM_")}
    kept["PYTHONWARNINGS"] = "ignore"
    return kept | dict(environ)


def _ready(process: "subprocess.Popen[bytes]") -> dict[str, Any] | None:
    """Return what the peer says when it is ready; other lines are passed over."""
    assert process.stdout is not None
    end_s = time.monotonic() + READY_S
    said = b""
    while (left_s := end_s - time.monotonic()) > 0:
        readable, _, _ = select.select([process.stdout], [], [], left_s)
        more = os.read(process.stdout.fileno(), 4096) if readable else b""
        if not more:
            return None
        said += more
        for line in said.splitlines():
            if line.startswith(b"{") and line.endswith(b"}}"):
                return dict(json.loads(line))
    return None


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
