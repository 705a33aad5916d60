"""A server under load: the generator's runs against it, on cores of their own.

Each run meets a server that has just been started: what one leaves behind, such as
encoders that stay eased for minutes, is no part of the next.
"""

import contextlib
import json
import operator
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.compare import judge
from bench.compare.pace import Pace
from bench.compare.peer import ROOT, PeerError, Running, move

RAMP_S = 4.0
"""Seconds in which the calls of a load are begun, but for many."""

MAX_RAMP_HZ = 20.0
"""Offers a second at most: setting calls up, at some 10 ms each, is not to fill a core
that has the calls so far to carry, and leave them with a backlog."""

RUN_TIMEOUT_S = 120.0

ATTEMPTS = 3
"""At a load that the machine has something else to do beside."""


class LoadError(PeerError):
    """A load came to no figures: the server did not stand it."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Who runs where: the server alone, all else elsewhere."""

    server: int
    others: frozenset[int]


@dataclass(frozen=True, slots=True)
class Stand:
    """Where one server is put under load.

    Args:
        start: Runs the server for the length of a block.
        options: For `bench.load`.
        is_own: Whether it is this project's, which says when it eases its encoders.
        pace: Of the server's core.
        tell: Shows progress.
    """

    start: Callable[[], AbstractContextManager[Running]]
    cores: Cores
    options: tuple[str, ...]
    is_own: bool
    pace: Pace
    tell: Callable[[str], None]

    def load(
        self,
        calls: int,
        seconds: float,
        *options: str,
        ramp_hz: float | None = None,
    ) -> dict[str, Any]:
        """Run a load, anew while something else had the cores.

        Returns:
            As `once`; of runs that were all disturbed the one on the fastest cores.

        Raises:
            PeerError, LoadError: As `once`.
        """
        runs: list[dict[str, Any]] = []
        while len(runs) < ATTEMPTS:
            runs.append(self.once(calls, seconds, *options, ramp_hz=ramp_hz))
            if not runs[-1]["disturbed"]:
                return runs[-1]
        return min(runs, key=operator.itemgetter("slowness"))

    def once(
        self,
        calls: int,
        seconds: float,
        *options: str,
        ramp_hz: float | None = None,
    ) -> dict[str, Any]:
        """Run a load.

        Returns:
            What the generator wrote, the server's `codec`, the CPU of its processes by
            name (`server_cpu_ms`, a call-second) and of the one that is compared
            (`server_ms`), whether encoders were `eased`, and what it was `disturbed` by
            (empty: nothing).

        Raises:
            PeerError: The server did not start.
            LoadError: It came to no figures.
        """
        if ramp_hz is None:
            ramp_hz = min(MAX_RAMP_HZ, max(1.0, calls / RAMP_S))
        load = (f"--calls={calls}", f"--ramp={ramp_hz:g}", f"--duration={seconds:g}")
        asked = (*load, *self.options, *options)
        self.tell(f"  {' '.join((f'{calls} calls', *options))} ...")
        run = self._run(*asked)
        if run["disturbed"]:
            self.tell(f"  disturbed: {run['disturbed']}")
        return run

    def _run(self, *options: str) -> dict[str, Any]:
        with contextlib.ExitStack() as held:
            server = self._started(held)
            from_s = time.time()
            for companion in list(server.pids.values())[1:]:
                move(companion, set(self.cores.others))
            pids = [f"--pid={pid}" for pid in server.pids.values()]
            run = _generate(server.url, self.cores.others, (*options, *pids))
            when = self.cores.server, from_s, time.time()
            run["slowness"] = self.pace.slowness(*when)
            run["slowest"] = self.pace.slowest(*when)
            run["eased"] = self.is_own and _times_eased(server.url) > 0
        cpu_ms = {name: run["cpu_ms"][str(pid)] for name, pid in server.pids.items()}
        run["codec"], run["server_cpu_ms"] = server.codec, cpu_ms
        run["server_ms"] = next(iter(cpu_ms.values()))
        run["disturbed"] = judge.disturbance(run, self.cores.server)
        return run

    def _started(self, held: contextlib.ExitStack) -> Running:
        """Start the server, twice if it must be: a free port may be taken meanwhile."""
        try:
            return held.enter_context(self.start())
        except PeerError as error:
            self.tell(f"  {error}")
            return held.enter_context(self.start())


def _times_eased(url: str) -> float:
    """Return how often this project's server has eased its encoders."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as page:
        lines = page.read().decode().splitlines()
    found = next(line for line in lines if line.startswith("tandem_eased_total "))
    return float(found.split()[1])


def _generate(
    url: str, cores: frozenset[int], options: tuple[str, ...]
) -> dict[str, Any]:
    """Run the generator as a process of its own, on its cores.

    Raises:
        LoadError: It came to no figures.
    """
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.json"
        command = ["taskset", "--cpu-list", ",".join(map(str, sorted(cores)))]
        command += [sys.executable, "-m", "bench.load", f"--url={url}"]
        command += [f"--json={figures}", *options]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=RUN_TIMEOUT_S,
                check=False,  # 1 says that calls were lost, which is a result here
            )
        except subprocess.TimeoutExpired as error:
            raise LoadError(f"no end after {RUN_TIMEOUT_S:g} s") from error
        if not figures.exists():
            raise LoadError(f"the generator failed: {done.stderr.strip()[-200:]}")
        return dict(json.loads(figures.read_text(encoding="utf-8")))
