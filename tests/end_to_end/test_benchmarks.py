"""Each benchmark still runs: those that nothing else runs, with next to nothing to do.

What they measure is not looked at: that is for a machine which does nothing else.
"""

import sys
from pathlib import Path

import pytest

from tests.support.programs import ended
from tests.support.services import ROOT

RUN_S = 120.0

PROGRAMS = sorted(
    f"bench.{path.stem if path.stem != '__main__' else path.parent.name}"
    for path in (*Path(ROOT, "bench").glob("*.py"), *ROOT.glob("bench/*/__main__.py"))
    if path.stem != "__init__"
)

SMALL = (
    ("bench.churn", "--calls=4", "--only=hang-up"),
    ("bench.echo", "--calls=2", "--seconds=3"),
    ("bench.ingress", "--seconds=1"),
    ("bench.loss", "--sessions=1", "--seconds=1"),
    ("bench.truncation", "--count=1", "--calls=1"),
)


async def said(*command: str) -> str:
    """Run a program to its end, which must be a good one; return what it printed."""
    done = await ended(sys.executable, "-m", *command, within_s=RUN_S)
    assert done.code == 0, done.complaints.decode()
    return done.output.decode()


@pytest.mark.asyncio
@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_benchmark_says_what_it_is_for(program: str) -> None:
    assert (await said(program, "--help")).startswith("usage: ")


@pytest.mark.interop
@pytest.mark.asyncio
@pytest.mark.parametrize("command", SMALL, ids=lambda command: command[0])
async def test_a_benchmark_runs_to_its_end(command: tuple[str, ...]) -> None:
    assert (await said(*command)).strip()
