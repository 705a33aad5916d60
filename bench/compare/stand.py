"""A server under load: the generator's runs against it, on cores of their own."""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.compare import judge
from bench.compare.pace import Pace
from bench.compare.peer import ROOT, PeerError, Running

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
        options: For `bench.load`.
        is_own: Whether it is this project's, which says when it eases its encoders.
        pace: Of the server's core.
        tell: Shows progress.
    """

    server: Running
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
        """Run a load, anew if something else had the cores.

        Returns:
            What the generator wrote, the CPU of the process that is compared
            (`server_ms`, a call-second), whether encoders were `eased`, and whether it
            was `disturbed` however often it was run.

        Raises:
            LoadError: It came to no figures.
        """
        if ramp_hz is None:
            ramp_hz = min(MAX_RAMP_HZ, max(1.0, calls / RAMP_S))
        load = (f"--calls={calls}", f"--ramp={ramp_hz:g}", f"--duration={seconds:g}")
        asked = (*load, *self.options, *options)
        self.tell(f"  {' '.join((f'{calls} calls', *options))} ...")
        run = self._run(*asked)
        for _ in range(1, ATTEMPTS):
            if not run["disturbed"]:
                break
            self.tell("  again: the machine had something else to do ...")
            run = self._run(*asked)
        return run

    def _run(self, *options: str) -> dict[str, Any]:
        server = self.server
        pids = [f"--pid={pid}" for pid in server.pids.values()]
        eased, slowness = self._times_eased(), self.pace.slowness()
        run = _generate(server.url, self.cores.others, (*options, *pids))
        run["server_ms"] = run["cpu_ms"][str(server.measured)]
        run["eased"] = self._times_eased() > eased
        run["slowness"] = max(slowness, self.pace.slowness())
        run["disturbed"] = judge.is_disturbed(run, self.cores.server)
        return run

    def _times_eased(self) -> float:
        """Return how often this project has eased its encoders, once it eases none."""
        if not self.is_own:
            return 0.0
        while self._metric("tandem_strain"):
            time.sleep(0.5)
        return self._metric("tandem_eased_total")

    def _metric(self, name: str) -> float:
        with urllib.request.urlopen(f"{self.server.url}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
        found = next(line for line in lines if line.startswith(f"{name} "))
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
