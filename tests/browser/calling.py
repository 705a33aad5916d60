"""A call on the real page to the real services, recorded in the browser."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from playwright.async_api import ConsoleMessage, Page

from tests.browser import recording
from tests.support import chromium
from tests.support.services import running_stack
from tests.support.sound import Pcm

RECORDER = Path(__file__).with_name("recorder.js")
LIVE_WITHIN_MS = 60_000


class Received(NamedTuple):
    """A server event, and its time in the recording in seconds."""

    at_s: float
    event: dict[str, Any]


@dataclass
class Call:
    """A call under way.

    Attributes:
        page: The page that holds it.
        complaints: Console errors and uncaught exceptions of the page.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)

    async def recorded(self) -> tuple[Pcm, Pcm]:
        """Return what the microphone gave and what the page played, so far."""
        you, agent = await self.page.evaluate("recorder.take()")
        return recording.unpack(you), recording.unpack(agent)

    async def received(self) -> list[Received]:
        """Return the server events so far."""
        events = await self.page.evaluate("recorder.events()")
        return [Received(**event) for event in events]


@asynccontextmanager
async def calling(executable: Path, microphone: Path) -> AsyncIterator[Call]:
    """Run services and browser, hold a call while the context lasts, and hang up.

    Args:
        executable: The browser, as `chromium.find` gives it.
        microphone: WAV file played once from the start of the call.
    """
    async with (
        running_stack() as stack,
        chromium.launched(executable, microphone) as browser,
    ):
        context = await browser.new_context(bypass_csp=True)  # the recorder is a blob
        page = await context.new_page()
        call = Call(page)

        def complain(line: ConsoleMessage) -> None:
            if line.type == "error":
                call.complaints.append(line.text)

        await page.add_init_script(path=RECORDER)
        page.on("console", complain)
        page.on("pageerror", lambda error: call.complaints.append(str(error)))
        await page.goto(stack.page_url)
        await page.click("#call")
        live = '#state[data-state="live"]'
        await page.wait_for_selector(live, timeout=LIVE_WITHIN_MS)
        yield call
        await page.click("#call")
        await page.wait_for_selector('#state[data-state="ended"]')
