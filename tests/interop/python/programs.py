"""A client's program, run in the environment of the foreign clients."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts import environment
from tests.support.programs import ended
from tests.support.recording_proxy import RecordingProxy, Session

DEADLINE_S = 90.0

Seen = dict[str, Any]


@dataclass(frozen=True)
class Held:
    """A conversation that a program has held.

    Attributes:
        exit_code: 0 when it went through.
        seen: What the program reported, in order.
        log: Its standard error.
        folder: Where it wrote what it played.
        sessions: What was said over the wire, a connection each.
    """

    exit_code: int
    seen: list[Seen]
    log: str
    folder: Path
    sessions: list[Session]

    def all(self, what: str) -> list[Seen]:
        """Return the reports of one kind."""
        return [seen for seen in self.seen if seen["saw"] == what]

    @property
    def session(self) -> Session:
        """The one connection."""
        [session] = self.sessions
        return session


def require() -> Path:
    """Return the Python of the foreign clients, or skip the test.

    Where TANDEM_REQUIRE_ALL=1 is set, tests/conftest.py makes the skip a failure.
    """
    python = environment.python(environment.INTEROP_VENV)
    if not python.exists():
        pytest.skip("the foreign clients are not installed: make test does it")
    return python


async def hold(client: str, server_url: str, key: str, folder: Path) -> Held:
    """Run one client's program against a server, with a recorder between them."""
    proxy = RecordingProxy(server_url)
    async with proxy.running():
        done = await ended(
            *(str(require()), "-m", f"tests.interop.python.clients.{client}"),
            *(f"{proxy.url}/v1", key, str(folder)),
            within_s=DEADLINE_S,
            environ=_environ(),
        )
    return Held(
        exit_code=done.code,
        seen=[json.loads(line) for line in done.output.splitlines()],
        log=done.complaints.decode(errors="replace"),
        folder=folder,
        sessions=proxy.sessions,
    )


def _environ() -> dict[str, str]:
    """Return what the programs inherit: no proxy, no key, no telemetry."""
    return {
        "PATH": "/usr/bin:/bin",
        "LIVEKIT_LOG_LEVEL": "warning",
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
