"""A program, run to its end."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from tests.support.services import ROOT


class Ended(NamedTuple):
    """What is left of a program: its exit code, and what it wrote."""

    code: int
    output: bytes
    complaints: bytes


async def ended(
    *command: str, within_s: float, environ: Mapping[str, str] | None = None
) -> Ended:
    """Run a command in the project's root; None: in our own environment.

    Raises:
        TimeoutError: It did not end in time, and was killed.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(within_s):
            output, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(process.returncode, output, complaints)
