"""A developer's server at a live WebRTC call of its own, all services running."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from openai import AsyncOpenAI, NotFoundError
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.exceptions import ConnectionClosed

from tests.support.caller import Caller, calling
from tests.support.services import Stack, running_stack
from tests.support.waiting import LIMIT_S, until_reads

pytestmark = pytest.mark.interop

TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the weather of a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
TEXT_ONLY = {"type": "realtime", "output_modalities": ["text"]}

Scene = Callable[[Caller, AsyncRealtimeConnection, AsyncOpenAI], Awaitable[None]]


def call_id(caller: Caller) -> str:
    return caller.location.rpartition("/")[2]


def server_of(stack: Stack) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{stack.url}/v1", api_key="x", max_retries=0)


async def play(scene: Scene) -> None:
    """Play a scene with a caller and a server attached to the call."""
    async with (
        running_stack() as stack,
        calling(stack.url, session=TEXT_ONLY) as caller,
        server_of(stack) as server,
    ):
        await caller.wait_for("session.created")
        async with server.realtime.connect(
            call_id=call_id(caller), model="gpt-realtime"
        ) as connection:
            await scene(caller, connection, server)


async def event(connection: AsyncRealtimeConnection, kind: str) -> Any:
    """Return the next event of a type."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            received = await connection.recv()
            assert received.type != "error", received
            if received.type == kind:
                return received


def ask(caller: Caller, text: str) -> None:
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    caller.send({"type": "conversation.item.create", "item": item})
    caller.send({"type": "response.create"})


@pytest.mark.asyncio
async def test_a_server_answers_the_calls_tools_and_the_caller_hears_of_it() -> None:
    async def scene(
        caller: Caller, connection: AsyncRealtimeConnection, _: AsyncOpenAI
    ) -> None:
        created = await event(connection, "session.created")
        assert created.session.output_modalities == ["text"]
        await connection.session.update(session={"type": "realtime", "tools": [TOOL]})
        await event(connection, "session.updated")
        await caller.wait_for("session.updated")
        ask(caller, "What is the weather in Paris?")
        done = await event(connection, "response.output_item.done")
        assert done.item.type == "function_call"
        assert json.loads(done.item.arguments) == {"city": "Paris"}
        await event(connection, "response.done")
        await connection.conversation.item.create(
            item={
                "type": "function_call_output",
                "call_id": done.item.call_id,
                "output": json.dumps({"weather": "sunny"}),
            }
        )
        await connection.response.create()
        text = await event(connection, "response.output_text.done")
        assert "sunny" in text.text
        heard = await caller.wait_for("response.output_text.done")
        assert heard["text"] == text.text
        assert caller.count("error") == 0

    await play(scene)


@pytest.mark.asyncio
async def test_a_servers_mistake_is_told_to_it_alone() -> None:
    async def scene(
        caller: Caller, connection: AsyncRealtimeConnection, _: AsyncOpenAI
    ) -> None:
        await event(connection, "session.created")
        await connection.conversation.item.delete(item_id="nothing", event_id="mine")
        async with asyncio.timeout(LIMIT_S):
            error = await connection.recv()
        assert error.type == "error"
        assert error.error.event_id == "mine"
        ask(caller, "Hello.")
        await caller.wait_for("response.done")
        assert caller.count("error") == 0

    await play(scene)


async def is_known(server: AsyncOpenAI, call: str) -> bool:
    """Tell whether there is such a call, which is hung up if there is."""
    try:
        await server.realtime.calls.hangup(call)
    except NotFoundError:
        return False
    return True


@pytest.mark.asyncio
async def test_a_call_that_is_hung_up_ends_for_caller_and_server() -> None:
    async def scene(
        caller: Caller, connection: AsyncRealtimeConnection, server: AsyncOpenAI
    ) -> None:
        await event(connection, "session.created")
        await server.realtime.calls.hangup(call_id(caller))
        with pytest.raises(ConnectionClosed) as closed:
            await event(connection, "nothing.more")
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000
        await caller.wait_until(
            lambda: caller.connection.connectionState == "closed", "end of the call"
        )
        await until_reads(lambda: is_known(server, call_id(caller)), wanted=False)

    await play(scene)
