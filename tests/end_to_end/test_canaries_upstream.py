"""What WebSocket clients, servers at a sideband and upstreams say is in no log line.

An upstream here quotes in its errors all that it knows: the relay's key, prompts.
"""

import asyncio
import base64
import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.support.caller import Caller
from tests.support.services import Stack, running_stack
from tests.support.waiting import LIMIT_S
from tests.support.web import serving

pytestmark = pytest.mark.interop

KEY = f"sk-canary-{secrets.token_hex(8)}"
UPSTREAM_KEY = f"sk-upstream-{secrets.token_hex(8)}"
CHAT_KEY = f"sk-chat-{secrets.token_hex(8)}"
PROMPT = f"canary prompt {secrets.token_hex(8)}"
SAID = f"canary words {secrets.token_hex(8)}"
CANARIES = (KEY, KEY[3:], UPSTREAM_KEY, CHAT_KEY, PROMPT, SAID)

KEY_HEADER = f"Bearer {KEY}"

UPDATE = {"type": "session.update", "session": {"instructions": PROMPT}}
ITEM = {
    "type": "conversation.item.create",
    "item": {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": SAID}],
    },
}
CODE = "of_the_canary"


async def tattle(request: web.Request) -> web.StreamResponse:
    """Answer as a Realtime API that quotes everything, and then hangs up."""
    quoted = f"{request.headers['Authorization']} {PROMPT}"
    if request.query["model"] == "refused":
        return web.json_response({"error": {"message": quoted}}, status=401)
    websocket = web.WebSocketResponse()
    await websocket.prepare(request)
    error = {"type": "invalid_request_error", "message": quoted, "code": CODE}
    transcript = "conversation.item.input_audio_transcription.completed"
    for event in (
        {"type": "session.created", "session": {"instructions": PROMPT}},
        {"type": "error", "error": error | {"code": "invalid_api_key"}},
        {"type": transcript, "item_id": "item_1", "transcript": SAID},
        {"type": "response.output_audio.delta", "delta": SAID},
        {"type": "error", "error": PROMPT},
        {"type": SAID},
        SAID,
    ):
        await websocket.send_json(event)
    async for message in websocket:
        event = json.loads(message.data)
        own = {"event_id": event.get("event_id")}
        await websocket.send_json({"type": "error", "error": error | own})
        if event["type"] == "conversation.item.create":
            break
    await websocket.close(code=3000, message=quoted.encode())
    return websocket


async def refuse_to_chat(request: web.Request) -> web.Response:
    """Answer as a chat endpoint that quotes the key and the whole conversation."""
    quoted = f"{request.headers['Authorization']} {await request.text()}"
    return web.json_response({"error": {"message": quoted}}, status=400)


@contextlib.asynccontextmanager
async def tattling() -> AsyncIterator[str]:
    app = web.Application()
    app.add_routes(
        [
            web.get("/v1/realtime", tattle),
            web.post("/v1/chat/completions", refuse_to_chat),
        ]
    )
    async with serving(app) as address:
        yield f"ws://{address}/v1/realtime"


async def minted(stack: Stack, http: aiohttp.ClientSession) -> str:
    body = {"session": UPDATE["session"]}
    headers = {"Authorization": f"Bearer {KEY}"}
    url = f"{stack.url}/v1/realtime/client_secrets"
    async with http.post(url, json=body, headers=headers) as response:
        value: str = (await response.json())["value"]
        return value


async def converse(
    stack: Stack, http: aiohttp.ClientSession, key: str, query: str, *events: Any
) -> str:
    """Say events over a WebSocket, and return all that comes until the close."""
    protocols = ("realtime", f"openai-insecure-api-key.{key}", f"other.{key}")
    url = f"{stack.url}/v1/realtime{query}"
    heard = ""
    async with http.ws_connect(url, protocols=protocols) as websocket:
        for event in events:
            await websocket.send_str(
                event if isinstance(event, str) else json.dumps(event)
            )
        async with asyncio.timeout(LIMIT_S):
            async for message in websocket:
                heard += message.data
    return heard


def assert_none_in_logs(stack: Stack, *more: str) -> None:
    logs = "".join(process.log for process in stack.processes)
    assert "websocket opened" in logs
    for canary in (*CANARIES, *more):
        assert canary not in logs, canary
        assert base64.b64encode(canary.encode()).decode().rstrip("=")[:-2] not in logs


def pieces(minted: str) -> list[str]:
    payload = minted[len("ek_") :]
    return [payload[at : at + 16] for at in range(0, len(payload) - 16, 16)]


@pytest.mark.asyncio
@pytest.mark.parametrize("form", ["text", "json"])
async def test_nothing_that_an_upstream_quotes_is_logged(form: str) -> None:
    async with (
        tattling() as upstream,
        running_stack(
            upstream,
            TANDEM_API_KEYS=KEY,
            TANDEM_UPSTREAM_KEY=UPSTREAM_KEY,
            TANDEM_LOG_LEVEL="debug",
            TANDEM_LOG_FORMAT=form,
        ) as stack,
        aiohttp.ClientSession() as http,
    ):
        secret = await minted(stack, http)
        for key in (KEY, secret):
            for query in ("?model=m", "?model=refused", f"?model={PROMPT}"):
                deep = json.dumps({"type": SAID, PROMPT: []})[:-2] + "[" * 300
                told = await converse(stack, http, key, query, UPDATE, deep, SAID, ITEM)
                assert "error" in told
        for key in (f"{KEY}x", secret[:-1], f"{secret}."):
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await converse(stack, http, key, "")
    assert_none_in_logs(stack, *pieces(secret))


@pytest.mark.asyncio
async def test_no_client_is_told_the_key_of_the_relay() -> None:
    async with (
        tattling() as upstream,
        running_stack(upstream, TANDEM_UPSTREAM_KEY=UPSTREAM_KEY) as stack,
        aiohttp.ClientSession() as http,
    ):
        for query in ("?model=m", "?model=refused"):
            told = await converse(stack, http, "any", query, UPDATE, ITEM)
            assert "error" in told
            assert UPSTREAM_KEY not in told


@pytest.mark.asyncio
async def test_no_secret_of_the_upstreams_url_is_logged() -> None:
    user = f"someone:{UPSTREAM_KEY}"
    async with (
        tattling() as upstream,
        running_stack(
            upstream.replace("ws://", f"ws://{user}@") + f"?api-key={CHAT_KEY}",
            TANDEM_LOG_LEVEL="debug",
        ) as stack,
        aiohttp.ClientSession() as http,
    ):
        for query in ("?model=m", "?model=refused"):
            told = await converse(stack, http, "any", query, UPDATE, ITEM)
            assert "error" in told
    assert_none_in_logs(stack, user)


@pytest.mark.asyncio
async def test_nothing_that_a_sideband_says_is_logged() -> None:
    async with running_stack(
        "echo", TANDEM_API_KEYS=KEY, TANDEM_LOG_LEVEL="debug"
    ) as stack:
        caller = Caller()
        await caller.dial(stack.url, {"Authorization": f"Bearer {KEY}"})
        await caller.wait_for("session.created")
        call_id = caller.location.rpartition("/")[2]
        async with aiohttp.ClientSession() as http:
            secret = await minted(stack, http)
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await converse(stack, http, secret, f"?call_id={call_id}")
            protocols = ("realtime", f"openai-insecure-api-key.{KEY}")
            url = f"{stack.url}/v1/realtime?call_id={call_id}"
            async with http.ws_connect(url, protocols=protocols) as websocket:
                await websocket.send_json(UPDATE)
                await websocket.send_str(SAID)
                await websocket.send_json(ITEM | {"type": SAID})
                async with asyncio.timeout(LIMIT_S):
                    while (await websocket.receive_json())["type"] != "error":
                        pass
        await caller.close()
    assert_none_in_logs(stack, *pieces(secret))


@pytest.mark.speech
@pytest.mark.asyncio
async def test_nothing_that_the_engine_reads_is_logged() -> None:
    async with (
        tattling() as upstream,
        running_stack(
            TANDEM_API_KEYS=KEY,
            TANDEM_LOG_LEVEL="debug",
            TANDEM_CHAT_URL=upstream.replace("ws:", "http:").removesuffix("/realtime"),
            TANDEM_CHAT_KEY=CHAT_KEY,
            TANDEM_CHAT_MODEL="m",
        ) as stack,
        aiohttp.ClientSession() as http,
    ):
        url = f"{stack.url}/v1/realtime"
        async with http.ws_connect(url, headers={"Authorization": KEY_HEADER}) as talk:
            for said in (UPDATE, ITEM, {"type": SAID}, {"type": "response.create"}):
                await talk.send_json(said)
            event: dict[str, Any] = {"type": ""}
            async with asyncio.timeout(LIMIT_S):
                while event["type"] != "response.done":
                    event = await talk.receive_json()
        assert event["response"]["status"] == "failed"
        assert CHAT_KEY not in json.dumps(event)
    assert_none_in_logs(stack)
