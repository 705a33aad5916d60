"""`make run`'s command with the real services: start, the one line, Ctrl-C."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.certificates import self_signed
from tests.support.services import ROOT, free_ports

pytestmark = pytest.mark.interop

ENDS_S = 180.0
"""More than it takes to give up itself: models load on slow disks."""


def environ(**settings: str) -> dict[str, str]:
    """Return an environment with free ports and no key."""
    ours = ("TANDEM_", "OPENAI_")
    kept = {name: v for name, v in os.environ.items() if not name.startswith(ours)}
    names = ("HTTP", "UDP", "LINK", "RELAY_HTTP", "ENGINE")
    ports = dict(zip(names, map(str, free_ports(len(names))), strict=True))
    chosen = {f"TANDEM_{name}_PORT": port for name, port in ports.items()}
    return {**kept, **chosen, "TANDEM_UDP_HOST": "127.0.0.1", **settings}


@contextlib.asynccontextmanager
async def run(environ: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the command; it stops all services however the block ends."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.run"),
        cwd=ROOT,
        env=environ,
        stdout=pipe,
        stderr=pipe,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await process.communicate()


@pytest.mark.asyncio
async def test_with_a_certificate_the_page_is_announced_over_https(
    tmp_path: Path,
) -> None:
    chosen = environ(TANDEM_UPSTREAM="echo", **self_signed(tmp_path).settings)
    async with run(chosen) as process, asyncio.timeout(ENDS_S):
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        address = f"https://localhost:{chosen['TANDEM_HTTP_PORT']}"
        assert line == f"Tandem is ready: open {address}\n"
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 0


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "upstream", ["echo", pytest.param("builtin", marks=pytest.mark.speech)]
)
async def test_one_line_names_the_page_and_ctrl_c_ends_all(upstream: str) -> None:
    chosen = environ(TANDEM_UPSTREAM=upstream)
    async with run(chosen) as process, asyncio.timeout(ENDS_S):
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        assert line, await process.communicate()
        address = f"http://localhost:{chosen['TANDEM_HTTP_PORT']}"
        assert line == f"Tandem is ready: open {address}\n"
        async with aiohttp.ClientSession() as http, http.get(address) as page:
            assert page.status == 200
            assert "<html" in await page.text()
        process.send_signal(signal.SIGINT)
        rest, log = await process.communicate()
    assert process.returncode == 0, log.decode()
    assert rest == b""
    assert b"Traceback" not in log


@pytest.mark.asyncio
async def test_a_bad_setting_is_one_line_before_anything_starts() -> None:
    chosen = environ(TANDEM_UPSTREAM="echo", TANDEM_MAX_CALLS="many")
    async with run(chosen) as process, asyncio.timeout(ENDS_S):
        out, log = await process.communicate()
    assert process.returncode == 2
    assert out == b""
    assert log.startswith(b"run: TANDEM_MAX_CALLS: 'many'")
    assert log.count(b"\n") == 1


@pytest.mark.asyncio
async def test_a_service_that_cannot_start_ends_the_run_and_is_named() -> None:
    elsewhere = {"TANDEM_STATUS_HOST": "203.0.113.1", "TANDEM_STATUS_PORT": "8084"}
    chosen = environ(TANDEM_UPSTREAM="echo", **elsewhere)
    async with run(chosen) as process, asyncio.timeout(ENDS_S):
        out, log = await process.communicate()
    assert process.returncode == 1
    assert out == b""
    assert b"service=transceiver code=1" in log
    assert b"Traceback" not in log
