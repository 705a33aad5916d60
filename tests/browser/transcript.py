"""The transcript as the page shows it."""

from dataclasses import dataclass

from playwright.async_api import Page


@dataclass(frozen=True)
class Shown:
    """One entry of the transcript on the page."""

    speaker: str
    status: str
    text: str
    reply_ms: float | None


ROWS = """turns => turns.map(turn => ({
    speaker: turn.dataset.speaker,
    status: turn.dataset.status,
    text: turn.querySelector(".words").textContent,
    reply_ms: turn.dataset.replyMs === undefined ? null : Number(turn.dataset.replyMs),
}))"""


async def read(page: Page) -> list[Shown]:
    """Read the transcript off the page."""
    rows = await page.eval_on_selector_all("#transcript > li", ROWS)
    return [Shown(**row) for row in rows]
