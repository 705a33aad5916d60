"""The playground page against a far end that is itself a page: no service is needed.

A small HTTP server gives out the files with a strict content security policy and passes
each offer to the far end. (Interception by the driver would do but for one request: the
module of an audio worklet is not offered to it.)
"""

import json
import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page

from tests.support import chromium

PAGE = Path(__file__).parents[2] / "transceiver" / "page"
FAR_END = Path(__file__).with_name("far_end.js")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'"
)


class Playground:
    """One page and its far end.

    Attributes:
        page: The playground, opened.
        complaints: Console errors and uncaught exceptions of the page.
        refusal: Status and body for the next calls instead of an answer.
        requests: Headers of the calls asked for.
    """

    def __init__(self, page: Page, far_end: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.refusal: tuple[int, str] | None = None
        self.requests: list[dict[str, str]] = []
        self._far_end = far_end

    async def say(self, *events: dict[str, Any]) -> None:
        """Send server events on the data channel."""
        await self._far_end.evaluate("events => farEnd.say(...events)", list(events))

    async def sound(self, *, on: bool) -> None:
        """Play a tone as the agent, or stop it."""
        await self._far_end.evaluate("on => farEnd.sound(on)", on)

    async def received(self) -> list[dict[str, Any]]:
        """Return the client events so far."""
        events: list[dict[str, Any]] = await self._far_end.evaluate("farEnd.received()")
        return events

    async def close_far_end(self) -> None:
        """End the call as a server does."""
        await self._far_end.evaluate("farEnd.close()")

    async def start(self) -> None:
        """Press the call button and wait until the call stands."""
        await self.page.click("#call")
        await self.page.wait_for_selector('#state[data-state="live"]')

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a call as the public API does."""
        self.requests.append(dict(request.headers))
        if self.refusal is not None:
            status, body = self.refusal
            return web.Response(
                status=status, content_type="application/json", text=body
            )
        offer = await request.text()
        answer = await self._far_end.evaluate("offer => farEnd.answer(offer)", offer)
        return web.Response(
            status=201,
            headers={"Location": "/v1/realtime/calls/rtc_1"},
            content_type="application/sdp",
            text=answer,
        )


@asynccontextmanager
async def opened(
    microphone: Path | None = None, **options: Any
) -> AsyncIterator[Playground]:
    """Open the playground; `options` are those of a browser context."""
    async with chromium.launched(chromium.require(), microphone) as browser:
        context = await browser.new_context(**options)
        page, far_end = await context.new_page(), await context.new_page()
        playground = Playground(page, far_end)
        page.on(
            "console", lambda message: _keep(playground, message.type, message.text)
        )
        page.on("pageerror", lambda error: _keep(playground, "error", str(error)))
        async with TestServer(_site(playground)) as server:
            await far_end.goto(str(server.make_url("/far")))
            await far_end.evaluate("navigator.mediaDevices.getUserMedia({audio: true})")
            await far_end.add_script_tag(content=FAR_END.read_text())
            await page.goto(str(server.make_url("/")))
            await page.bring_to_front()
            yield playground


def _site(playground: Playground) -> web.Application:
    async def page(request: web.Request) -> web.Response:
        file = PAGE / request.match_info.get("name", "index.html")
        content_type = mimetypes.guess_type(file.name)[0] or ""
        return web.Response(body=file.read_bytes(), content_type=content_type)

    async def far(_: web.Request) -> web.Response:
        return web.Response(content_type="text/html", text="<!doctype html>")

    async def guard(request: web.Request, response: web.StreamResponse) -> None:
        if request.path != "/far":
            response.headers["Content-Security-Policy"] = POLICY

    site = web.Application()
    site.on_response_prepare.append(guard)
    site.add_routes(
        [
            web.get("/", page),
            web.get("/page/{name}", page),
            web.get("/far", far),
            web.post("/v1/realtime/calls", playground.answer),
        ]
    )
    return site


def _keep(playground: Playground, kind: str, text: str) -> None:
    if kind in ("error", "warning"):
        playground.complaints.append(text)


def error_body(message: str) -> str:
    """Return an error of the Realtime API's shape."""
    error = {"message": message, "type": "x", "code": None, "param": None}
    return json.dumps({"error": error})
