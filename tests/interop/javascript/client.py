"""A page that runs a JavaScript client, as the tests drive and hear it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from playwright.async_api import Browser, ConsoleMessage, Page

from tests.browser import recording
from tests.support.sound import Pcm

HERE = Path(__file__).parent
MICROPHONE, WIRE = HERE / "microphone.js", HERE / "wire.js"
RECORDER = HERE.parents[1] / "browser" / "recorder.js"
WAIT_S = 30.0

GESTURE = "The AudioContext was not allowed to start."
"""Chromium's warning about contexts made before the test touches the page."""

Event = dict[str, Any]


class Told(NamedTuple):
    """What the page told, and when, in seconds of its own clock."""

    at_s: float
    kind: str
    what: Any


class Client:
    """A session that a page holds.

    Attributes:
        told: All that the page told, in order: events from the `server` and from the
            `client`, `tool` calls, `error`, `history`, `interrupted`, `connection`.
        complaints: Warnings, errors and uncaught exceptions of the page.
        call_id: What the SDK takes for the id of the call, over WebRTC.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.told: list[Told] = []
        self.complaints: list[str] = []
        self.call_id: str | None = None
        self._changed = asyncio.Event()

    @property
    def events(self) -> list[Event]:
        """The server's events so far."""
        return self._of_kind("server")

    @property
    def sent(self) -> list[Event]:
        """The client's events so far."""
        return self._of_kind("client")

    @property
    def history(self) -> list[Event]:
        """What the session holds to be the conversation."""
        histories = self._of_kind("history")
        return histories[-1] if histories else []

    @property
    def errors(self) -> list[str]:
        """What the session took for errors."""
        return self._of_kind("error")

    @property
    def tools_called(self) -> list[Any]:
        """The arguments with which the tool was called."""
        return self._of_kind("tool")

    async def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the page's client."""
        script = "([name, values]) => client[name](...values)"
        return await self.page.evaluate(script, [name, arguments])

    async def connect(self, transport: str, url: str, key: str) -> None:
        """Open the session, as the page's client names the ways it can."""
        self.call_id = await self.call(transport, url, key)

    async def say(self, pcm: Pcm) -> None:
        """Say something into the microphone, to the end."""
        text = base64.b64encode(pcm.astype("<i2").tobytes()).decode()
        await asyncio.sleep(await self.page.evaluate("microphone.say", text))

    def all(self, kind: str) -> list[Event]:
        """Return the server events of a type."""
        return [event for event in self.events if event["type"] == kind]

    async def wait_for(self, kind: str, number: int = 1) -> Event:
        """Return the n-th server event of a type, waiting for it."""
        await self.wait_until(
            lambda: len(self.all(kind)) >= number, f"{number}. {kind}"
        )
        return self.all(kind)[number - 1]

    async def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until a condition on what was told holds."""
        try:
            async with asyncio.timeout(WAIT_S):
                while not holds():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            kinds = [event["type"] for event in self.events]
            raise AssertionError(f"no {what}; had {kinds}") from None

    async def hear(self) -> "Heard":
        """Return what the page has played so far, over WebRTC."""
        _, played = await self.page.evaluate("recorder.take()")
        events = await self.page.evaluate("recorder.events()")
        times = [(event["at_s"], event["event"]) for event in events]
        return Heard(recording.unpack(played), times)

    def take(self, told: Event) -> None:
        """Keep what the page tells."""
        kind, what = told["kind"], told["what"]
        if kind in ("server", "client"):
            what = json.loads(what)
        self.told.append(Told(told["at_ms"] / 1000, kind, what))
        self._changed.set()

    def _of_kind(self, kind: str) -> list[Any]:
        return [told.what for told in self.told if told.kind == kind]


class Heard(NamedTuple):
    """What a page played, and the server's events at their times in it."""

    played: Pcm
    events: list[tuple[float, Event]]

    def between(self, start_s: float, end_s: float) -> Pcm:
        """Return what was heard between two times."""
        return recording.cut(self.played, start_s, end_s)

    def times(self, kind: str) -> list[float]:
        """Return when events of a type came."""
        return [at_s for at_s, event in self.events if event["type"] == kind]


def delivered(events: list[Event]) -> Pcm:
    """Return the audio in a WebSocket's events."""
    kind = "response.output_audio.delta"
    deltas = [event["delta"] for event in events if event["type"] == kind]
    data = b"".join(base64.b64decode(delta) for delta in deltas)
    return np.frombuffer(data, "<i2").astype(np.int16)


def words_of(item: Event) -> str:
    """Return what an item of the history says."""
    parts = item.get("content", ())
    texts = [part.get("transcript") or part.get("text") or "" for part in parts]
    return " ".join(texts).strip()


@asynccontextmanager
async def opened(browser: Browser, address: str) -> AsyncIterator[Client]:
    """Open a page of its own for one client; the address says which."""
    context = await browser.new_context(ignore_https_errors=True)
    page = await context.new_page()
    client = Client(page)

    def keep(line: ConsoleMessage) -> None:
        if line.type in ("error", "warning") and not line.text.startswith(GESTURE):
            client.complaints.append(line.text)

    page.on("console", keep)
    page.on("pageerror", lambda error: client.complaints.append(str(error)))
    await page.expose_function("report", client.take)
    for script in (MICROPHONE, RECORDER, WIRE):
        await page.add_init_script(path=script)
    await page.goto(address)
    await page.wait_for_function("window.client !== undefined")
    try:
        yield client
    finally:
        await context.close()
