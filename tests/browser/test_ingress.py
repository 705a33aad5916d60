"""A real browser through a forwarder that is replaced under it."""

import numpy as np
import pytest
from playwright.async_api import Page

from tests.browser import recording
from tests.browser.calling import LIVE_WITHIN_MS, RECORDER
from tests.support import chromium
from tests.support.ingress import forwarded_stack
from tests.support.sound import Pcm

pytestmark = pytest.mark.browser

LOUD = 500
STEP_MS = 250
WITHIN_STEPS = 240


async def hears_itself(page: Page) -> None:
    """Wait until the page plays the beep of its own microphone."""
    await page.wait_for_timeout(2 * STEP_MS)  # what was under way is played by then
    before = len(await _heard(page))
    for _ in range(WITHIN_STEPS):
        await page.wait_for_timeout(STEP_MS)
        if np.abs((await _heard(page))[before:]).max(initial=0) > LOUD:
            return
    raise AssertionError("nothing came back")


async def _heard(page: Page) -> Pcm:
    _, agent = await page.evaluate("recorder.take()")
    return recording.unpack(agent)


@pytest.mark.asyncio
async def test_a_browser_s_call_outlives_its_forwarder() -> None:
    executable = chromium.require()
    async with (
        forwarded_stack() as (stack, ingress),
        chromium.launched(executable) as browser,
    ):
        context = await browser.new_context(bypass_csp=True)  # the recorder is a blob
        page = await context.new_page()
        await page.add_init_script(path=RECORDER)
        await page.goto(stack.page_url)
        await page.click("#call")
        await page.wait_for_selector(
            '#state[data-state="live"]', timeout=LIVE_WITHIN_MS
        )
        await hears_itself(page)
        await ingress.replace()
        await hears_itself(page)
        await ingress.replace(elsewhere=True)
        await hears_itself(page)
        assert await page.get_attribute("#state", "data-state") == "live"
        await page.click("#call")
        await page.wait_for_selector('#state[data-state="ended"]')
