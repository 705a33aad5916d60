"""No key, client secret, prompt or session gets into a log line, at debug level too."""

import asyncio
import json
import secrets
from typing import Any

import aiohttp
import pytest

from tests.support.caller import Caller
from tests.support.services import Stack, running_stack

pytestmark = pytest.mark.interop

KEY = f"sk-canary-{secrets.token_hex(8)}"
PROMPT = f"canary prompt {secrets.token_hex(8)}"
SESSION = {"type": "realtime", "instructions": PROMPT}


async def post(
    stack: Stack, path: str, key: str, body: Any, session: Any = None
) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{stack.url}/v1/realtime/{path}"
    async with aiohttp.ClientSession(headers=headers) as http:
        if session is not None:
            form = aiohttp.FormData(default_to_multipart=True)
            form.add_field("sdp", body)
            form.add_field("session", session)
            body = form
        async with http.post(url, data=body) as response:
            return response.status, await response.text()


@pytest.mark.asyncio
@pytest.mark.parametrize("form", ["text", "json"])
async def test_nothing_that_could_be_replayed_or_read_is_logged(form: str) -> None:
    async with running_stack(
        "echo", TANDEM_API_KEYS=KEY, TANDEM_LOG_LEVEL="debug", TANDEM_LOG_FORMAT=form
    ) as stack:
        _, text = await post(
            stack, "client_secrets", KEY, json.dumps({"session": SESSION})
        )
        minted = json.loads(text)["value"]
        caller = Caller()
        await caller.dial(
            stack.url, {"Authorization": f"Bearer {minted}"}, {"instructions": PROMPT}
        )
        await caller.wait_for("session.created")
        caller.send({"type": "session.update", "session": SESSION})
        caller.channel.send(PROMPT)
        await caller.wait_for("session.updated")
        call_id = caller.location.rpartition("/")[2]
        offer = Caller()
        sdp = await offer.offer()
        await offer.close()
        deep = f'{{"{PROMPT}": {"[" * 300 + "]" * 300}}}'
        for path, key, body, session in (
            ("calls", KEY + "x", sdp, json.dumps(SESSION)),
            ("calls", minted[:-1], sdp, json.dumps(SESSION)),
            ("calls", minted, PROMPT, json.dumps(SESSION)),
            ("calls", minted, sdp, PROMPT),
            ("calls", minted, sdp, json.dumps([PROMPT])),
            ("calls", minted, sdp, deep),
            ("calls", KEY + "x" * 20_000, sdp, None),
            ("client_secrets", KEY, PROMPT, None),
            ("client_secrets", KEY, f'{{"session": {deep}}}', None),
            ("client_secrets", minted, "{}", None),
            (f"calls/{call_id}/hangup", minted, "", None),
            (f"calls/{call_id}/hangup", KEY, "", None),
        ):
            status, _ = await post(stack, path, key, body, session)
            assert status < 500
        await caller.close()
        await send_raw(
            stack, f"GET / HTTP/1.1\r\nAuthorization: {KEY}\r\n{PROMPT}\r\n\r\n"
        )
        await send_raw(stack, f"{PROMPT} {KEY}\r\n\r\n")
    logs = "".join(process.log for process in stack.processes)
    assert "call ended" in logs
    payload = minted[len("ek_") :]
    pieces = [payload[at : at + 16] for at in range(0, len(payload) - 16, 16)]
    for canary in (KEY, KEY[3:], PROMPT, stack.environ["TANDEM_LINK_KEY"], *pieces):
        assert canary not in logs


async def send_raw(stack: Stack, text: str) -> None:
    """Send what need not be HTTP, and wait for the end."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", int(stack.environ["TANDEM_HTTP_PORT"])
    )
    writer.write(text.encode())
    writer.write_eof()
    await reader.read()
    writer.close()
    await writer.wait_closed()
