"""Every process starts, stops and fails in the same way."""

import asyncio
import errno
import logging
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from runtime import main, settings as env
from runtime.logs import Form
from runtime.settings import setting
from runtime.stop import Stop
from runtime.worker import Share, Worker


@dataclass(frozen=True, slots=True)
class Settings:
    port: int = setting("MAIN_PORT", "1", env.port, "a port")
    log_level: str = setting("MAIN_LOG_LEVEL", "info", env.log_level, "how much")
    log_format: Form = setting(  # noqa: RUF009  # an enum's member is immutable
        "MAIN_LOG_FORMAT", "text", env.log_format, "how"
    )


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give `run` its own command line; give the test its log handlers back."""
    monkeypatch.setattr("sys.argv", ["sample"])
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


async def until_stopped(_: Settings, stop: asyncio.Event) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await stop.wait()


def test_a_signal_ends_the_service_with_success() -> None:
    assert main.run("sample", Settings, until_stopped) == 0


def test_a_bad_setting_is_one_line_and_code_2(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAIN_PORT", "many")
    assert main.run("sample", Settings, until_stopped) == 2
    assert capfd.readouterr().err == (
        "sample: MAIN_PORT: 'many' is not a port (0 to 65535)\n"
    )


def test_a_taken_port_is_one_line_and_code_1(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def serve(_: Settings, __: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listen())

    async def listen() -> None:
        raise OSError(errno.EADDRINUSE, "UDP 127.0.0.1 port 1: taken")

    assert main.run("sample", Settings, serve) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith(
        f"cannot listen: [Errno {errno.EADDRINUSE}] UDP 127.0.0.1 port 1: taken"
    )


def test_any_other_fault_keeps_its_traceback() -> None:
    async def serve(_: Settings, __: asyncio.Event) -> None:
        raise ConnectionResetError("a bug of ours")

    with pytest.raises(BaseExceptionGroup) as caught:
        main.run("sample", Settings, serve)
    assert caught.group_contains(ConnectionResetError)


def test_help_lists_the_settings(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["sample", "--help"])
    with pytest.raises(SystemExit) as ended:
        main.run("sample", Settings, until_stopped, what="It is a sample.")
    assert ended.value.code == 0
    shown = capfd.readouterr().out
    assert "MAIN_PORT" in shown
    assert "It is a sample." in shown


@pytest.mark.parametrize(("is_traced", "code"), [(True, 2), (False, 0)])
def test_only_a_service_with_spans_needs_what_sends_them(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_traced: bool,
    code: int,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    async def serve(settings: Settings, stop: Stop, worker: Worker) -> None: ...

    ended = main.run_workers(
        "sample",
        Settings,
        serve,
        lambda _: 0.0,
        lambda _: Share(),
        what="",
        is_traced=is_traced,
    )
    assert ended == code
    said = capsys.readouterr().err
    assert said.startswith("sample: OTEL_EXPORTER_OTLP_ENDPOINT: ") == is_traced
    assert len(said.splitlines()) == int(is_traced)
