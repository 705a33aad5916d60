"""Control of a call by its id: only for the key it belongs to, and while it lives."""

import asyncio
import json
import signal
from typing import Any

import aiohttp
import openai
import pytest

from tests.end_to_end.test_call import ended
from tests.support.caller import Caller, calling
from tests.support.front_door import KEY, FrontDoor, front_door
from tests.support.services import Stack, running_stack

pytestmark = pytest.mark.interop

OTHER_KEY = "sk-of-another-tenant"


async def asked(door: FrontDoor, method: str, path: str, key: str) -> tuple[int, Any]:
    url = f"{door.url}/v1/realtime/calls/{path}"
    headers = {"Authorization": f"Bearer {key}"}
    async with door.http.request(method, url, headers=headers) as response:
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        text = await response.text()
        return response.status, json.loads(text) if text else None


@pytest.mark.asyncio
async def test_what_is_foreign_guessed_or_over_gets_one_answer_by_one_way() -> None:
    async with front_door(KEY, OTHER_KEY) as door:
        tenant = door.keys.identify(KEY).tenant
        door.control.has = ("rtc_mine", tenant)
        answers = []
        for key, call_id in (
            (OTHER_KEY, "rtc_mine"),
            (KEY, "rtc_guess"),
            (KEY, "x" * 3_000),
            (KEY, "%ff%ed%a0%80"),
            (KEY, "..%2f..%2fmetrics"),
        ):
            answers.append(await asked(door, "GET", call_id, key))
            answers.append(await asked(door, "POST", f"{call_id}/hangup", key))
        assert len(door.control.asked) == len(answers)
        assert len({json.dumps(answer) for answer in answers}) == 1
        assert answers[0][0] == 404
        assert answers[0][1]["error"]["code"] == "call_not_found"
        assert (await asked(door, "GET", "rtc_mine", KEY))[0] == 200
        assert await asked(door, "POST", "rtc_mine/hangup", KEY) == (200, None)
        assert await asked(door, "GET", "rtc_mine", KEY) == answers[0]
        assert await asked(door, "POST", "rtc_mine/hangup", KEY) == answers[0]


@pytest.mark.asyncio
async def test_control_takes_an_api_key() -> None:
    async with front_door(KEY) as door:
        tenant = door.keys.identify(KEY).tenant
        door.control.has = ("rtc_mine", tenant)
        secret = door.minted()
        for key, status, code in (
            ("sk-wrong", 401, "invalid_api_key"),
            ("ek_junk", 401, "invalid_api_key"),
            (secret, 403, "insufficient_permissions"),
        ):
            for method, path in (("GET", "rtc_mine"), ("POST", "rtc_mine/hangup")):
                answer = await asked(door, method, path, key)
                assert (answer[0], answer[1]["error"]["code"]) == (status, code)
        assert not door.control.asked


async def get_call(stack: Stack, caller: Caller, key: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(
            f"{stack.url}{caller.location}", headers={"Authorization": f"Bearer {key}"}
        ) as response,
    ):
        return response.status, await response.json()


def package(stack: Stack, key: str) -> openai.AsyncOpenAI:
    """The foreign client, unmodified."""
    return openai.AsyncOpenAI(api_key=key, base_url=f"{stack.url}/v1", max_retries=0)


@pytest.mark.asyncio
async def test_the_openai_package_mints_calls_and_hangs_up() -> None:
    async with (
        running_stack("echo", TANDEM_API_KEYS=f"{OTHER_KEY},{KEY}") as stack,
        package(stack, KEY) as server,
    ):
        minted = await server.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 60},
            session={"type": "realtime", "instructions": "Say it back."},
        )
        caller = Caller()
        async with package(stack, minted.value) as client:
            answered = await client.realtime.calls.with_raw_response.create(
                sdp=await caller.offer(),
                session={"type": "realtime", "audio": {"output": {"voice": "ash"}}},
            )
            caller.location = answered.headers["Location"]
            call_id = caller.location.rpartition("/")[2]
            await caller.take_answer(answered.text)
            session = (await caller.wait_for("session.created"))["session"]
            assert session["instructions"] == "Say it back."
            assert session["audio"]["output"]["voice"] == "ash"
            with pytest.raises(openai.PermissionDeniedError):
                await client.realtime.calls.hangup(call_id)
        status, call = await get_call(stack, caller, KEY)
        assert status == 200
        assert (call["id"], call["object"]) == (call_id, "realtime.call")
        assert call["status"] == "in_progress"
        assert isinstance(call["created_at"], int)
        assert (await get_call(stack, caller, OTHER_KEY))[0] == 404
        await server.realtime.calls.hangup(call_id)
        await caller.wait_until(
            lambda: caller.connection.connectionState == "closed", "end of the call"
        )
        await ended(stack)  # the client hears of it first
        assert (await get_call(stack, caller, KEY))[0] == 404
        with pytest.raises(openai.NotFoundError):
            await server.realtime.calls.hangup(call_id)
        await caller.close()


@pytest.mark.asyncio
async def test_the_openai_package_calls_without_a_session() -> None:
    async with (
        running_stack("echo", TANDEM_API_KEYS=KEY) as stack,
        package(stack, KEY) as client,
    ):
        caller = Caller()
        answered = await client.realtime.calls.create(sdp=await caller.offer())
        await caller.take_answer(answered.text)
        await caller.wait_for("session.created")
        await caller.close()


@pytest.mark.asyncio
async def test_a_call_is_hung_up_though_its_relay_hangs() -> None:
    async with running_stack("echo") as stack, calling(stack.url) as caller:
        await caller.wait_for("session.created")
        port = int(stack.environ["TANDEM_HTTP_PORT"])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = f"POST {caller.location}/hangup HTTP/1.0\r\n\r\n"
        try:
            # The edge is to be asked before it finds that the relay is silent.
            stack.transceiver.send(signal.SIGSTOP)
            stack.relay.send(signal.SIGSTOP)
            writer.write(request.encode())
            stack.transceiver.send(signal.SIGCONT)
            assert b" 200 " in await reader.readline()
            await caller.wait_until(
                lambda: caller.connection.connectionState == "closed", "end of the call"
            )
        finally:
            for process in stack.processes:
                process.send(signal.SIGCONT)
            writer.close()
            await writer.wait_closed()
