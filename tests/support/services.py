"""The real services as real processes on free loopback ports, for tests and benches."""

import asyncio
import base64
import contextlib
import functools
import itertools
import os
import pathlib
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

import aiohttp

from tests.support.waiting import until

ROOT = pathlib.Path(__file__).resolve().parents[2]
READY_S = 60.0
STOP_S = 30.0

PORTS = range(20_000, 30_000, 2)
"""None that a system gives to who asks for any (Linux from 32768 on, others from 49152
on, RFC 6335): a socket of the test's own would else take what a service is to have."""


class Process:
    """One service process; its log is kept for the failure report.

    `prefix` is the command that it is run by, if not by this process itself.
    """

    def __init__(
        self, module: str, status_url: str, prefix: Sequence[str] = ()
    ) -> None:
        self.module = module
        self._prefix = prefix
        self.status_url = status_url
        self.lines: list[str] = []
        self.was_killed = False
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What the process has logged."""
        return "".join(self.lines)

    async def start(self, environ: dict[str, str]) -> None:
        """Start the process."""
        self._process = await asyncio.create_subprocess_exec(
            *self._prefix,
            *(sys.executable, "-m", self.module),
            cwd=ROOT,
            env=environ,
            stderr=asyncio.subprocess.PIPE,
        )
        self._reading = asyncio.create_task(self._read())

    async def wait_ready(self) -> None:
        """Wait until /readyz says yes; fail with the log if it does not."""
        assert self._process is not None
        async with aiohttp.ClientSession() as http:
            for _ in range(int(READY_S / 0.05)):
                assert self._process.returncode is None, self.log
                with contextlib.suppress(aiohttp.ClientError):
                    url = f"{self.status_url}/readyz"
                    async with http.get(url, ssl=False) as response:
                        if response.status == 200:
                            return
                await asyncio.sleep(0.05)
        raise AssertionError(f"{self.module} did not get ready:\n{self.log}")

    async def readiness(self) -> tuple[int, str]:
        """Return the status of /readyz, and the reason that it gives."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{self.status_url}/readyz") as answer,
        ):
            return answer.status, (await answer.json()).get("reason", "")

    async def kill(self) -> None:
        """End the process without a word, as a crash would."""
        assert self._process is not None
        self.was_killed = True
        self._process.kill()
        await self._process.wait()

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._process is not None and self._process.returncode is None

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait for the process to end by itself, log and all; return its exit code."""
        assert self._process is not None
        assert self._reading is not None
        async with asyncio.timeout(STOP_S):
            code = await self._process.wait()
            await asyncio.shield(self._reading)
        return code

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End the process and return its exit code."""
        assert self._process is not None
        assert self._reading is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_S):
                code = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            code = await self._process.wait()
        await self._reading
        return code

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.lines.append(line.decode(errors="replace"))


@dataclass
class Stack:
    """The running services and where to reach them."""

    environ: dict[str, str]
    transceiver: Process
    relay: Process
    engine: Process | None
    stopped: dict[str, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Base URL of the public door, without a trailing slash."""
        return self.transceiver.status_url

    @property
    def page_url(self) -> str:
        """Address of the page."""
        return f"{self.url}/"

    @property
    def udp_address(self) -> tuple[str, int]:
        """Where media is heard."""
        return "127.0.0.1", int(self.environ["TANDEM_UDP_PORT"])

    @property
    def processes(self) -> list[Process]:
        """In the order in which they are started."""
        return [p for p in (self.engine, self.relay, self.transceiver) if p]


def free_ports(count: int) -> list[int]:
    """Return ports that are free for TCP and UDP, each together with the next one.

    Each is given once in this process: who asks again before it listens gets others.
    """
    return list(itertools.islice(filter(_is_free, _round()), count))


@functools.cache
def _round() -> Iterator[int]:
    """Go round all ports, from a random one on: other processes may do so, too."""
    start = secrets.randbelow(len(PORTS))
    return itertools.cycle([*PORTS[start:], *PORTS[:start]])


def _is_free(port: int) -> bool:
    with contextlib.ExitStack() as held:
        for number in (port, port + 1):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                probe = held.enter_context(socket.socket(type=kind))
                try:
                    probe.bind(("127.0.0.1", number))
                except OSError:
                    return False
    return True


@contextlib.asynccontextmanager
async def running_stack(
    upstream: str = "builtin", **settings: str
) -> AsyncIterator[Stack]:
    """Run transceiver and relay, and the engine where the upstream is the built-in one.

    Args:
        upstream: TANDEM_UPSTREAM.
        settings: Further environment variables.

    Every process must stop by itself, with exit code 0, when told to.
    """
    http, udp, link, status, engine = free_ports(5)
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith("TANDEM_")},
        "TANDEM_HTTP_PORT": str(http),
        "TANDEM_UDP_HOST": "127.0.0.1",
        "TANDEM_UDP_PORT": str(udp),
        "TANDEM_RELAYS": f"127.0.0.1:{link}",
        "TANDEM_LINK_PORT": str(link),
        "TANDEM_LINK_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "TANDEM_RELAY_HTTP_PORT": str(status),
        "TANDEM_ENGINE_PORT": str(engine),
        "TANDEM_UPSTREAM": upstream,
        **settings,
    }
    environ.pop("OPENAI_API_KEY", None)
    scheme = "https" if "TANDEM_TLS_CERTIFICATE" in settings else "http"
    stack = Stack(
        environ,
        transceiver=Process("transceiver", f"{scheme}://127.0.0.1:{http}"),
        relay=Process("relay", f"http://127.0.0.1:{status}"),
        engine=(
            Process("relay.engine", f"http://127.0.0.1:{engine}")
            if upstream == "builtin"
            else None
        ),
    )
    try:
        for process in stack.processes:
            await process.start(environ)
        for process in stack.processes:
            await process.wait_ready()
        workers = int(settings.get("TANDEM_WORKERS", "1"))
        if workers > 1:  # one answered; the next connection may be another's
            await until(lambda: stack.transceiver.log.count("link up") >= workers)
        yield stack
    except BaseException:
        for process in stack.processes:
            sys.stderr.write(f"--- {process.module}\n{process.log}")
        raise
    finally:
        for process in reversed(stack.processes):
            stack.stopped[process.module] = await process.stop()
    for process in stack.processes:
        expected = -signal.SIGKILL if process.was_killed else 0
        assert stack.stopped[process.module] == expected, stack.stopped
        assert "Traceback" not in process.log, process.log
