"""Run all of Tandem on this machine: what `make run` does.

Starts the built-in engine (unless another upstream is set), the relay and the
transceiver as processes of their own, waits until each says it is ready, prints the
page's address, and stops them in reverse order on Ctrl-C. Their logs go to this
terminal. When one ends by itself the others are stopped too, and the exit code is 1.
Settings that one of them would refuse are named before any starts: exit code 2.
"""

import argparse
import asyncio
import base64
import contextlib
import functools
import logging
import os
import secrets
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from relay.engine.settings import EngineSettings
from relay.settings import BUILTIN, ECHO, RelaySettings, without_secrets
from runtime import logs, settings as env
from runtime.settings import SettingsError, setting
from transceiver.settings import TransceiverSettings

ROOT = Path(__file__).resolve().parent.parent
OPENAI = "wss://api.openai.com/v1/realtime"

READY_S = 120.0
"""How long all services together may take to get ready (models load on slow disks)."""

STOP_S = 15.0
"""How long one service may take to end calls before it is killed."""

POLL_S = 0.1
"""Between two questions to /readyz."""

log = logging.getLogger("run")


class Service(NamedTuple):
    """One process: its name in messages, its module and its settings.

    `ready_url` is where it says it is ready.
    """

    name: str
    module: str
    settings: type[Any]
    ready_url: str


class Port(NamedTuple):
    """A port that has to be free, and the variable that moves it."""

    kind: socket.SocketKind
    host: str
    number: int
    variable: str


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What has to be known before the services read the same variables themselves."""

    workers: int = setting("TANDEM_WORKERS", "1", env.workers, "")
    relay_workers: int = setting("TANDEM_RELAY_WORKERS", "1", env.workers, "")
    http_host: str = setting("TANDEM_HTTP_HOST", "127.0.0.1", env.host, "")
    http_port: int = setting("TANDEM_HTTP_PORT", "8080", env.port, "")
    tls_certificate: str = setting("TANDEM_TLS_CERTIFICATE", "", env.text, "")
    udp_host: str = setting("TANDEM_UDP_HOST", "0.0.0.0", env.ip_address, "")
    udp_port: int = setting("TANDEM_UDP_PORT", "3478", env.port, "")
    link_host: str = setting("TANDEM_LINK_HOST", "127.0.0.1", env.host, "")
    link_port: int = setting("TANDEM_LINK_PORT", "7000", env.port, "")
    relay_http_host: str = setting("TANDEM_RELAY_HTTP_HOST", "127.0.0.1", env.host, "")
    relay_http_port: int = setting("TANDEM_RELAY_HTTP_PORT", "8081", env.port, "")
    engine_port: int = setting("TANDEM_ENGINE_PORT", "8082", env.port, "")
    upstream: str = setting("TANDEM_UPSTREAM", BUILTIN, env.text, "")
    log_level: str = setting("TANDEM_LOG_LEVEL", "info", env.log_level, "")
    log_format: logs.Form = setting(  # noqa: RUF009  # an enum's member is immutable
        "TANDEM_LOG_FORMAT", "text", env.log_format, ""
    )

    def __post_init__(self) -> None:
        """Refuse what a service would.

        Raises:
            SettingsError: Workers want for ports.
        """
        env.check_ports("TANDEM_UDP_PORT", self.udp_port, self.workers)
        env.check_ports("TANDEM_LINK_PORT", self.link_port, self.relay_workers)

    @property
    def scheme(self) -> str:
        """What the page is asked for with."""
        return "https" if self.tls_certificate else "http"


def main() -> int:
    """Run until Ctrl-C, SIGTERM or the end of a service; return the exit code."""
    argparse.ArgumentParser(
        prog="make run",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__,
        epilog="Settings are environment variables: see the README, or "
        "`python -m transceiver --help` and `python -m relay --help`.",
    ).parse_args()
    environ = completed(os.environ)
    try:
        settings = env.load(RunSettings, environ)
        for service in services(settings):
            env.load(service.settings, environ)
        refuse_taken(ports(settings))
    except SettingsError as error:
        sys.stderr.write(f"run: {error}\n")
        return 2
    logs.configure("run", settings.log_level, settings.log_format)
    return asyncio.run(_until_signal(settings, environ))


def completed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with what a single machine can work out for itself.

    A key for the link, the relay's address, and OpenAI as upstream if its key is set.
    """
    given = {name: value for name, value in environ.items() if value.strip()}
    link_host = given.get("TANDEM_LINK_HOST", "127.0.0.1")
    return {
        "TANDEM_LINK_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "TANDEM_UPSTREAM": OPENAI if "OPENAI_API_KEY" in given else BUILTIN,
        "TANDEM_RELAYS": f"{link_host}:{_link_ports(given)}",
        **given,
    }


def _link_ports(given: Mapping[str, str]) -> str:
    """Return the relay's port, or the range of its workers'."""
    first = given.get("TANDEM_LINK_PORT", "7000")
    try:
        workers = env.workers(given.get("TANDEM_RELAY_WORKERS", "1"))
        last = env.port(first) + workers - 1
    except ValueError:  # is said when the settings are read
        return first
    return first if workers == 1 else f"{first}-{last}"


def services(settings: RunSettings) -> list[Service]:
    """Return what to run, in the order of starting."""
    engine_url = _ready_url(settings.engine_port)
    engine = Service("engine", "relay.engine", EngineSettings, engine_url)
    relay_url = _ready_url(settings.relay_http_port, settings.relay_http_host)
    relay = Service("relay", "relay", RelaySettings, relay_url)
    edge_url = _ready_url(settings.http_port, settings.http_host, settings.scheme)
    transceiver = Service("transceiver", "transceiver", TransceiverSettings, edge_url)
    own_engine = [engine] if settings.upstream == BUILTIN else []
    return [*own_engine, relay, transceiver]


def ports(settings: RunSettings) -> list[Port]:
    """Return the ports that the services will listen on."""
    s, tcp, udp = settings, socket.SOCK_STREAM, socket.SOCK_DGRAM
    engine = Port(tcp, "127.0.0.1", s.engine_port, "TANDEM_ENGINE_PORT")
    return [
        *([engine] if s.upstream == BUILTIN else []),
        Port(tcp, s.relay_http_host, s.relay_http_port, "TANDEM_RELAY_HTTP_PORT"),
        *(
            Port(udp, s.link_host, s.link_port + worker, "TANDEM_LINK_PORT")
            for worker in range(s.relay_workers)
        ),
        Port(tcp, s.http_host, s.http_port, "TANDEM_HTTP_PORT"),
        *(
            Port(udp, s.udp_host, s.udp_port + worker, "TANDEM_UDP_PORT")
            for worker in range(s.workers)
        ),
    ]


def page_address(settings: RunSettings) -> str:
    """Return what to open; by the name localhost, a browser grants the microphone."""
    host = _reachable(settings.http_host)
    name = "localhost" if host in {"127.0.0.1", "[::1]"} else host
    return f"{settings.scheme}://{name}:{settings.http_port}"


def announcement(settings: RunSettings) -> str:
    """Return the line that says all are ready, and what is not known yet.

    Whether somebody else's upstream answers, and takes the key, shows with the first
    call: to ask before that would open a session that is paid for.
    """
    ready = f"Tandem is ready: open {page_address(settings)}"
    if settings.upstream in {BUILTIN, ECHO}:
        return ready
    upstream = without_secrets(settings.upstream)
    return f"{ready} ({upstream} is first asked when a call begins)"


def refuse_taken(wanted: Iterable[Port]) -> None:
    """Check that the ports are free.

    Raises:
        SettingsError: One is not; names the variable that moves it.
    """
    for port in wanted:
        if port.number == 0:
            raise SettingsError(
                f"{port.variable}: 0 is no port that a page can be told"
            )
        family = socket.AF_INET6 if ":" in port.host else socket.AF_INET
        with socket.socket(family, port.kind) as probe:
            if port.kind is socket.SOCK_STREAM:  # as the services do: TIME_WAIT is free
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((port.host, port.number))
            except OSError as error:
                raise SettingsError(
                    f"{port.variable}: port {port.number} on {port.host} cannot be had "
                    f"({error.strerror}); stop what holds it, or set another"
                ) from None


async def supervise(
    wanted: Sequence[Service],
    environ: Mapping[str, str],
    stop: asyncio.Event,
    announce: Callable[[], None],
) -> int:
    """Run services until `stop` is set or one of them ends.

    Args:
        wanted: What to run, in the order of starting.
        environ: The environment of all.
        stop: Set from outside to end the run; set by us when a service fails.
        announce: Called once, when all are ready.

    Returns:
        0 when asked to stop, 1 when a service ended or never got ready.
    """
    faults: list[str] = []
    started: list[tuple[Service, Process]] = []
    awaited = list(wanted)
    async with asyncio.TaskGroup() as watchers:
        try:
            for service in wanted:
                process = await _start(service, environ)
                started.append((service, process))
                watchers.create_task(_watch(service, process, stop, faults))
            if await _all_ready(awaited, stop, faults):
                announce()
            await stop.wait()
        finally:
            stop.set()
            for service, process in reversed(started):
                # SIGINT would be a traceback in a Python that is still importing;
                # SIGTERM would wait for calls to end.
                early = service in awaited
                await _end(service, process, signal.SIGTERM if early else signal.SIGINT)
    return 1 if faults else 0


async def _all_ready(
    awaited: list[Service], stop: asyncio.Event, faults: list[str]
) -> bool:
    """Wait; who is not ready when it returns is left in `awaited`."""
    try:
        async with asyncio.timeout(READY_S):
            await _until_ready(awaited, stop)
    except TimeoutError:
        late = awaited[0]
        fields = {"service": late.name, "url": late.ready_url, "limit_s": READY_S}
        log.error("not ready in time, giving up", extra=fields)  # noqa: TRY400  # a verdict, no bug of ours
        faults.append("readiness")
        stop.set()
    return not stop.is_set()


async def _until_signal(settings: RunSettings, environ: Mapping[str, str]) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    announce = functools.partial(print, announcement(settings), flush=True)
    return await supervise(services(settings), environ, stop, announce)


async def _start(service: Service, environ: Mapping[str, str]) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", service.module),
        cwd=ROOT,
        env=environ,
        start_new_session=True,  # a terminal's Ctrl-C is for us: we stop them in order
    )


async def _watch(
    service: Service, process: Process, stop: asyncio.Event, faults: list[str]
) -> None:
    code = await process.wait()
    if not stop.is_set():
        log.error(
            "service ended, stopping the rest",
            extra={"service": service.name, "code": code},
        )
        faults.append(service.name)
        stop.set()


async def _until_ready(awaited: list[Service], stop: asyncio.Event) -> None:
    """Wait for one after the other; who is ready is taken out."""
    async with aiohttp.ClientSession() as http:
        while awaited and not stop.is_set():
            if await _is_ready(http, awaited[0].ready_url):
                del awaited[0]
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), POLL_S)


async def _is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        # A certificate names what callers dial, not this machine's address.
        async with http.get(url, ssl=False) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


async def _end(service: Service, process: Process, number: signal.Signals) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        log.warning("service does not stop, killed", extra={"service": service.name})
        process.kill()
        await process.wait()


def _reachable(host: str) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def _ready_url(port: int, host: str = "127.0.0.1", scheme: str = "http") -> str:
    return f"{scheme}://{_reachable(host)}:{port}/readyz"


if __name__ == "__main__":
    sys.exit(main())
