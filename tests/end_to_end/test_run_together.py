"""`make run`'s supervisor with small services that behave well or badly."""

import asyncio
import os
import pathlib
import socket
import textwrap

import pytest

from runtime.settings import SettingsError
from scripts import run
from scripts.run import Service
from tests.support.services import free_ports

SERVICE = """
    import asyncio, os, pathlib, sys
    from dataclasses import dataclass
    from aiohttp import web
    from prometheus_client import CollectorRegistry
    from runtime import main, settings as env, status
    from runtime.logs import Form
    from runtime.settings import setting

    here = pathlib.Path(__file__).parent

    @dataclass(frozen=True, slots=True)
    class Settings:
        log_level: str = setting("TANDEM_LOG_LEVEL", "info", env.log_level, "level")
        log_format: Form = setting("TANDEM_LOG_FORMAT", "text", env.log_format, "form")

    async def serve(_, stop):
        app = web.Application()
        app.add_routes(status.routes(CollectorRegistry(), lambda: {reason!r}))
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", {port}).start()
        (here / "{name} serves").touch()
        if {dies}:
            while not (here / "relay serves").exists():
                await asyncio.sleep(0.01)
            sys.exit(3)
        await stop.wait()
        await runner.cleanup()
        with (here / "diary").open("a") as diary:
            diary.write("{name} stopped\\n")

    sys.exit(main.run("{name}", Settings, serve))
"""


class Stage:
    """Writes services as modules and runs them under the supervisor."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.diary = folder / "diary"
        self.diary.touch()
        self.services: list[Service] = []
        self.ready = asyncio.Event()

    def add(self, name: str, *, dies: bool = False, reason: str | None = None) -> None:
        (port,) = free_ports(1)
        source = SERVICE.format(name=name, port=port, dies=dies, reason=reason)
        (self.folder / f"sample_{name}.py").write_text(textwrap.dedent(source))
        url = f"http://127.0.0.1:{port}/readyz"
        module = f"sample_{name}"
        self.services.append(Service(name, module, run.RunSettings, url))

    async def run(self, stop: asyncio.Event) -> int:
        environ = {**os.environ, "PYTHONPATH": str(self.folder)}
        return await run.supervise(self.services, environ, stop, self.ready.set)


@pytest.fixture
def stage(tmp_path: pathlib.Path) -> Stage:
    return Stage(tmp_path)


@pytest.mark.asyncio
async def test_all_get_ready_and_are_stopped_in_order(stage: Stage) -> None:
    for name in ("engine", "relay", "transceiver"):
        stage.add(name)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(stage.run(stop))
        async with asyncio.timeout(30):
            await stage.ready.wait()
        assert stage.diary.read_text() == ""
        stop.set()
    assert running.result() == 0
    assert stage.diary.read_text().splitlines() == [
        "transceiver stopped",
        "relay stopped",
        "engine stopped",
    ]


@pytest.mark.asyncio
async def test_the_rest_is_stopped_when_one_dies(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.add("relay", reason="never ready")
    stage.add("transceiver", dies=True)
    async with asyncio.timeout(30):
        assert await stage.run(asyncio.Event()) == 1
    (record,) = caplog.records
    assert vars(record)["service"] == "transceiver"
    assert vars(record)["code"] == 3
    assert stage.diary.read_text() == "relay stopped\n"
    assert not stage.ready.is_set()


@pytest.mark.asyncio
async def test_a_service_that_never_gets_ready_ends_the_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(run, "READY_S", 0.5)
    stage.add("relay", reason="no upstream")
    async with asyncio.timeout(30):
        assert await stage.run(asyncio.Event()) == 1
    assert "not ready in time" in caplog.text


@pytest.mark.asyncio
async def test_a_taken_port_is_named_with_its_variable(stage: Stage) -> None:
    (port,) = free_ports(1)
    wanted = [run.Port(socket.SOCK_STREAM, "127.0.0.1", port, "TANDEM_HTTP_PORT")]
    run.refuse_taken(wanted)
    server = await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1", port)
    async with server:
        with pytest.raises(SettingsError, match=f"^TANDEM_HTTP_PORT: port {port}"):
            run.refuse_taken(wanted)
